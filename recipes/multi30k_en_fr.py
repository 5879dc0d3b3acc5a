"""Multi30k, English to French.

python recipes/multi30k_en_fr.py --data DIR_OR_HUB_ID [--output DIR] [--fast] [--any.config.field VALUE]

The default Hub id has no French: give a folder of train.jsonl, validation.jsonl and test.jsonl with columns en and fr.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import replace

from multi30k import BASE, arguments

if __name__ == "__main__":
    seq2seq.run_recipe(replace(BASE, source="en", target="fr"), arguments())
