"""Multi30k, German to English.

python recipes/multi30k_de_en.py [--data DIR_OR_HUB_ID] [--output DIR] [--any.config.field VALUE]
"""

from dataclasses import replace

from multi30k import BASE
from seq2seq.cli import script

if __name__ == "__main__":
    script.main(replace(BASE, source="de", target="en"))
