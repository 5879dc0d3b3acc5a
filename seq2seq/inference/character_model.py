"""A trained language model over characters: samples and scores text."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seq2seq.config import COUNTS_OR_NONE, SEEDS, Real, check_number, from_dict
from seq2seq.data.characters import FIRST_CHARACTER_ID, Characters
from seq2seq.data.symbols import BOS_ID, PAD_ID, UNK_ID
from seq2seq.errors import check, check_argument
from seq2seq.inference.decoding import decode_in_batches
from seq2seq.inference.inputs import check_text, list_of_texts
from seq2seq.inference.pretrained import Pretrained
from seq2seq.model.language_model import (
    LEAST_TEMPERATURE,
    LanguageModel,
    LanguageModelConfig,
    assemble_language_model,
)
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runs.stored_model import Build, load_model

log = logging.getLogger(__name__)


LONGEST_AT_ONCE = 32_768
"""Characters of a text whose states and probabilities are in memory at once; a longer one is read step by step."""


class CharacterModel(Pretrained):
    """A trained language model over characters."""

    kind = "language_model"
    model: LanguageModel

    def __init__(self, model: LanguageModel, config: LanguageModelConfig, characters: Characters) -> None:
        check_argument("CharacterModel", "model", model, torch.nn.Module)
        self.model, self.config, self.characters = model.eval(), config, characters

    @torch.inference_mode()
    def sample(self, seed_text: str, length: int, temperature: float = 1.0, seed: int = 1) -> str:
        """Goes on from seed_text by `length` random characters. temperature: above 0; below 1 keeps to the likely ones.
        seed: from 0 to 2^63 - 1; the same one gives the same text."""
        check_text(seed_text, "seed_text")
        check_number("length", length, COUNTS_OR_NONE)
        check_number("temperature", temperature, Real(0, 1_000, without=(0,)))
        check_number("seed", seed, SEEDS)
        temperature = max(temperature, LEAST_TEMPERATURE)
        random = torch.Generator().manual_seed(seed)
        self.warn_of_unknown(seed_text)
        state = self.model.start(1)
        drawn: list[int] = []
        log_probs = torch.empty(0)
        for token in [BOS_ID, *self.characters.encode(seed_text)]:
            log_probs, state = self.model.step(self._token(token), state)
        while len(drawn) < length:
            likely = (log_probs[0, FIRST_CHARACTER_ID:].cpu() / temperature).softmax(-1)
            drawn.append(FIRST_CHARACTER_ID + int(torch.multinomial(likely, 1, generator=random)))
            log_probs, state = self.model.step(self._token(drawn[-1]), state)
        return self.characters.decode(drawn)

    @torch.inference_mode()
    def bits_per_character(self, text: str) -> float:
        """Mean of -log2 P(character | those before it) over a text."""
        check_text(text, "text")
        check(bool(text), "the text to score is empty")
        ids = self.characters.encode(text)
        state, total = self.model.start(1), 0.0
        for before, token in zip([BOS_ID, *ids], ids, strict=False):
            log_probs, state = self.model.step(self._token(before), state)
            total -= float(log_probs[0, token])
        return total / len(ids) / math.log(2)

    @torch.inference_mode()
    def bits_of_each(self, texts: Sequence[str]) -> list[float]:
        """`bits_per_character` of each text, those of like lengths together, which is many times as fast."""
        texts = list_of_texts(texts)
        check(all(texts), "there is no character to predict: a text is empty")
        encoded = [self.characters.encode(text) for text in texts]
        bits = {row: self.bits_per_character(text) for row, text in enumerate(texts) if len(text) > LONGEST_AT_ONCE}
        short = [row for row in range(len(texts)) if row not in bits]

        def score(rows: list[int]) -> list[float]:
            return self._bits([encoded[short[row]] for row in rows])

        bits.update(zip(short, decode_in_batches([len(encoded[row]) for row in short], score), strict=True))
        return [bits[row] for row in range(len(texts))]

    def _bits(self, ids: list[list[int]]) -> list[float]:
        """Mean bits of each row's ids, by the same pass as in training, all steps at once."""
        lengths = torch.tensor([len(each) for each in ids], device=self.device)
        inputs, targets = (
            pad_sequence([torch.tensor(each) for each in rows], batch_first=True, padding_value=PAD_ID).to(self.device)
            for rows in ([[BOS_ID, *each[:-1]] for each in ids], ids)
        )
        logits, mask = self.model(inputs, lengths)
        log_probs = logits.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0].double()
        means: list[float] = ((log_probs * mask).sum(1) / lengths / -math.log(2)).tolist()
        return means

    def warn_of_unknown(self, text: str) -> None:
        """Logs which characters of a text the model does not know."""
        unknown = sorted({character for character in text if UNK_ID in self.characters.encode(character)})
        if unknown:
            log.warning("not among the characters that the model knows: %s", " ".join(map(repr, unknown[:20])))

    def _token(self, token: int) -> Tensor:
        return torch.tensor([token], device=self.device)

    def save_belongings(self, directory: Path) -> None:
        """As `Pretrained` has it."""
        self.characters.save(directory)

    @classmethod
    def assembled(cls, directory: Path, model: dict[str, Any], build: Build | None) -> CharacterModel:
        """As `Pretrained` has it."""
        config = from_dict(LanguageModelConfig, model, str(directory / CONFIG_FILE))
        characters = Characters.load(directory)
        module = load_model(directory, build, assemble_language_model, config, len(characters))
        return cls(module, config, characters)
