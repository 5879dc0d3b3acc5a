"""Multi30k, English to French.

python recipes/multi30k_en_fr.py --data DIR_OR_HUB_ID [--output DIR] [--any.config.field VALUE]

The default Hub id has no French: give a folder of train.jsonl, validation.jsonl and test.jsonl with columns en and fr.
"""

from dataclasses import replace

from multi30k import BASE
from seq2seq.cli import script

if __name__ == "__main__":
    script.main(replace(BASE, source="en", target="fr"))
