"""Multi30k, English to German.

python recipes/multi30k_en_de.py [--data DIR_OR_HUB_ID] [--output DIR] [--fast] [--any.config.field VALUE]
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from multi30k import translate

if __name__ == "__main__":
    translate("en", "de")
