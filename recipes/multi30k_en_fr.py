"""Multi30k, English to French.

python recipes/multi30k_en_fr.py --data DIR_OR_HUB_ID [--output DIR] [--fast] [--any.config.field VALUE]

The default Hub id has no French: give a folder of train.jsonl, validation.jsonl and test.jsonl with columns en and fr.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from multi30k import translate

if __name__ == "__main__":
    translate("en", "fr")
