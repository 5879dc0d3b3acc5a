"""A trained language model over characters, or over pieces of a vocabulary: samples and scores text."""

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
from seq2seq.data.characters import Characters
from seq2seq.data.language_units import Pieces, preceding
from seq2seq.data.symbols import PAD_ID
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
from seq2seq.runs.vocabularies import load_units, save_units

log = logging.getLogger(__name__)


LONGEST_AT_ONCE = 32_768
"""Characters of a text whose states and probabilities are in memory at once; a longer one is read step by step. Of
pieces, which have more probabilities, as many less."""


class CharacterModel(Pretrained):
    """A trained language model over characters, or over pieces of a vocabulary (subwords, words)."""

    kind = "language_model"
    model: LanguageModel

    def __init__(self, model: LanguageModel, config: LanguageModelConfig, units: Characters | Pieces) -> None:
        check_argument("CharacterModel", "model", model, torch.nn.Module)
        self.model, self.config, self.units = model.eval(), config, units

    @torch.inference_mode()
    def sample(self, seed_text: str, length: int, temperature: float = 1.0, seed: int = 1) -> str:
        """Goes on from seed_text by `length` random characters, or pieces. temperature: above 0; below 1 keeps to the
        likely ones. seed: from 0 to 2^63 - 1; the same one gives the same text."""
        check_text(seed_text, "seed_text")
        check_number("length", length, COUNTS_OR_NONE)
        check_number("temperature", temperature, Real(0, 1_000, without=(0,)))
        check_number("seed", seed, SEEDS)
        temperature = max(temperature, LEAST_TEMPERATURE)
        random = torch.Generator().manual_seed(seed)
        self.warn_of_unknown([seed_text])
        given = self.units.encode(seed_text)
        state, first = self.model.start(1), self.units.first_drawn
        drawn: list[int] = []
        log_probs = torch.empty(0)
        for token in preceding([*given, PAD_ID]):
            log_probs, state = self.model.step(self._token(token), state)
        while len(drawn) < length:
            likely = (log_probs[0, first:].cpu() / temperature).softmax(-1)
            drawn.append(first + int(torch.multinomial(likely, 1, generator=random)))
            log_probs, state = self.model.step(self._token(preceding([drawn[-1], PAD_ID])[1]), state)
        return self._continuation(given, drawn, seed_text)

    def _continuation(self, given: list[int], drawn: list[int], seed_text: str) -> str:
        """The text of drawn ids behind that of the given ones: the space between two words belongs to the second."""
        text = self.units.decode(given + drawn)[len(self.units.decode(given)) :]
        return text.removeprefix(" ") if seed_text[-1:].isspace() and isinstance(self.units, Pieces) else text

    @torch.inference_mode()
    def bits_per_character(self, text: str, backwards: bool = False) -> float:
        """-log2 P(text), each character or piece given those before it, per character. backwards: each given those
        after it, of a model of both directions."""
        check_text(text, "text")
        check(bool(text), "the text to score is empty")
        check(
            not backwards or self.config.direction == "both",
            "the model reads forward only; train one with model.direction both",
        )
        ids = self.units.encode(text)
        pairs, step = list(zip(preceding(ids), ids, strict=False)), self.model.step
        if backwards:
            pairs, step = [(after, before) for before, after in reversed(pairs)], self.model.step_back
        state, total = self.model.start(1), 0.0
        for given, wanted in pairs:
            log_probs, state = step(self._token(given), state)
            total -= float(log_probs[0, wanted])
        return total / len(text) / math.log(2)

    @torch.inference_mode()
    def bits_of_each(self, texts: Sequence[str]) -> list[float]:
        """`bits_per_character` of each text, those of like lengths together, which is many times as fast."""
        texts = list_of_texts(texts)
        check(all(texts), "there is no character to predict: a text is empty")
        encoded = [self.units.encode(text) for text in texts]
        longest = LONGEST_AT_ONCE if isinstance(self.units, Characters) else LONGEST_AT_ONCE // 16
        alone = [row for row, ids in enumerate(encoded) if not 0 < len(ids) <= longest]
        bits = {row: self.bits_per_character(texts[row]) for row in alone}
        short = [row for row in range(len(texts)) if row not in bits]

        def score(rows: list[int]) -> list[float]:
            sums = self._bits([encoded[short[row]] for row in rows])
            return [found / len(texts[short[row]]) for row, found in zip(rows, sums, strict=True)]

        bits.update(zip(short, decode_in_batches([len(encoded[row]) for row in short], score), strict=True))
        return [bits[row] for row in range(len(texts))]

    def _bits(self, ids: list[list[int]]) -> list[float]:
        """Bits of each row's ids, added up, by the same pass as in training, all steps at once."""
        lengths = torch.tensor([len(each) for each in ids], device=self.device)
        inputs, targets = (
            pad_sequence([torch.tensor(each) for each in rows], batch_first=True, padding_value=PAD_ID).to(self.device)
            for rows in ([preceding(each) for each in ids], ids)
        )
        logits, mask = self.model(inputs, lengths)
        log_probs = logits.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0].double()
        sums: list[float] = ((log_probs * mask).sum(1) / -math.log(2)).tolist()
        return sums

    def warn_of_unknown(self, texts: Sequence[str]) -> None:
        """Logs which characters or words of texts the model does not know."""
        unknown = self.units.unknown(texts)
        if unknown:
            what = "characters" if isinstance(self.units, Characters) else "words"
            log.warning("not among the %s that the model knows: %s", what, " ".join(map(repr, unknown[:20])))

    def _token(self, token: int) -> Tensor:
        return torch.tensor([token], device=self.device)

    def save_belongings(self, directory: Path) -> None:
        """As `Pretrained` has it."""
        save_units(directory, self.units)

    @classmethod
    def assembled(cls, directory: Path, model: dict[str, Any], build: Build | None) -> CharacterModel:
        """As `Pretrained` has it."""
        config = from_dict(LanguageModelConfig, model, str(directory / CONFIG_FILE))
        units = load_units(directory)
        module = load_model(directory, build, assemble_language_model, config, len(units))
        return cls(module, config, units)
