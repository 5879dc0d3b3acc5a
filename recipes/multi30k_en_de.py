"""Multi30k, English to German.

python recipes/multi30k_en_de.py [--data DIR_OR_HUB_ID] [--output DIR] [--any.config.field VALUE]
"""

from dataclasses import replace

from multi30k import BASE
from seq2seq.cli import script

if __name__ == "__main__":
    script.main(replace(BASE, source="en", target="de"))
