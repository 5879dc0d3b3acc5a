"""Multi30k, English to German.

python recipes/multi30k_en_de.py [--data DIR_OR_HUB_ID] [--output DIR] [--fast] [--any.config.field VALUE]
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import replace

from multi30k import BASE, arguments

if __name__ == "__main__":
    seq2seq.run_recipe(replace(BASE, source="en", target="de"), arguments())
