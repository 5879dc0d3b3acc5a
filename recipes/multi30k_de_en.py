"""Multi30k, German to English.

python recipes/multi30k_de_en.py [--data DIR_OR_HUB_ID] [--output DIR] [--fast] [--any.config.field VALUE]
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from multi30k import translate

if __name__ == "__main__":
    translate("de", "en")
