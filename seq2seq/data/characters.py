"""Characters as tokens: the vocabulary of language models, and of readers of plain characters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from seq2seq.data.symbols import UNK_ID
from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import write_atomically

CHARACTERS_FILE = "characters.json"
FIRST_CHARACTER_ID = 4
"""Ids below are padding, unknown, beginning and end, as in every vocabulary here."""


class Characters:
    """Characters as tokens, line feeds among them; those not in the table are unknown."""

    first_drawn = FIRST_CHARACTER_ID
    """The least id that a sample may have."""

    def __init__(self, symbols: str) -> None:
        check(isinstance(symbols, str), f"symbols must be a text of all characters, not {type(symbols).__name__}")
        self.symbols = symbols
        self._ids = {symbol: number for number, symbol in enumerate(symbols, FIRST_CHARACTER_ID)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Characters:
        """The table of all characters that occur."""
        return cls("".join(sorted(set().union(*texts))))

    def __len__(self) -> int:
        return FIRST_CHARACTER_ID + len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [self._ids.get(symbol, UNK_ID) for symbol in text]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special ones are left out."""
        return "".join(self.symbols[token - FIRST_CHARACTER_ID] for token in ids if token >= FIRST_CHARACTER_ID)

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """The characters of texts that are not in the table."""
        return sorted(set().union(*texts) - self._ids.keys())

    def save(self, directory: Path) -> None:
        """Writes characters.json."""
        write_atomically(directory / CHARACTERS_FILE, json.dumps({"symbols": self.symbols}) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Characters:
        """Reads characters.json. Raises UserError where it is missing or damaged."""
        path = directory / CHARACTERS_FILE
        try:
            symbols = json.loads(path.read_text(encoding="utf-8"))["symbols"]
            check(isinstance(symbols, str) and len(set(symbols)) == len(symbols), "symbols")
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: not a table of characters; restore it or train again") from None
        return cls(symbols)
