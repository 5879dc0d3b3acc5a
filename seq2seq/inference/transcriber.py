"""From features or images to text: captions, speech, handwriting. The model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seq2seq.config import SEARCH, Real, Whole, check_number, from_dict, read_config, to_dict, write_config
from seq2seq.data.batch import Batch, Ids, decoding_length_step
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.inference.decoding import (
    INPUTS_PER_BATCH,
    STEPS_PER_BATCH,
    check_attends,
    decode_in_batches,
    rows_for_beam,
)
from seq2seq.inference.inputs import collate_inputs, read_inputs, search_settings
from seq2seq.inference.reading import read_source, stored_reader
from seq2seq.inference.searcher import Searcher
from seq2seq.model.seq2seq import CTCSeq2Seq, GeneratorConfig, Seq2Seq, assemble_generator_model
from seq2seq.runs.layout import CONFIG_FILE, GENERATION_FILE, TARGET_FILE
from seq2seq.runs.stored_model import Build, load_model
from seq2seq.runtime.kernels import DECODING_STEP
from seq2seq.search.beam import Hypothesis, SearchConfig, beam_search
from seq2seq.search.ctc import ctc_beam_search, ctc_greedy, joint_step, start_joint

Array = np.ndarray


class Generator(Searcher):
    """A trained model of features or images to text."""

    kind = "generator"
    vocabularies = ("vocabulary",)

    def __init__(
        self,
        model: Seq2Seq,
        config: GeneratorConfig,
        vocabulary: Vocabulary,
        search: SearchConfig | None = None,
        reader: ReaderConfig | None = None,
    ) -> None:
        super().__init__(model, search)
        self.config, self.vocabulary = config, vocabulary
        self.reader = reader or ReaderConfig()

    def join(self, other: Searcher) -> None:
        """As `Searcher` has it; the models must read the same inputs, too."""
        if isinstance(other, Generator):
            same = (self.config.front_end, self.reader) == (other.config.front_end, other.reader)
            check(same, "models of an ensemble read the same inputs; the front end or the reader differs")
        super().join(other)

    def read(self, source: str | Path) -> Array:
        """An input from a file, or from a text where the model reads texts. Raises UserError where it cannot be
        read."""
        return read_source(self.reader, self.config.front_end, source)

    def generate(self, inputs: Sequence[Any], ctc_weight: float = 0.0, **search_options: Any) -> list[str]:
        """The best text for each input, in order: features [S, F], ids [S], or, for a model of images, Pillow images or
        arrays [C, height, width] in [0, 1]. Options: fields of SearchConfig, such as beam_size=5. Raises UserError for
        what is none of these."""
        check("n_best" not in search_options, "generate gives the best of each input only; search gives the n best")
        found = self.search(inputs, 1, ctc_weight, **search_options)
        return self.vocabulary.decode_batch([best[0].tokens for best in found])

    @torch.inference_mode()
    def search(
        self, inputs: Sequence[Any], n_best: int = 1, ctc_weight: float = 0.0, **search_options: Any
    ) -> list[list[Hypothesis]]:
        """The n best outputs of each input; where beam_size is not given, the beam is widened to n_best. ctc_weight, in
        [0, 1]: share of CTC's scores beside attention's (the model needs its head)."""
        config = search_settings(self.search_config, n_best, search_options)
        check_number("ctc_weight", ctc_weight, Real(0, 1))
        inputs = read_inputs(self.config.front_end, inputs)
        check(not (ctc_weight and self.partners), "an ensemble decodes without CTC: leave ctc_weight out")

        def decode(rows: list[int]) -> list[list[Hypothesis]]:
            batch = self._collate(inputs, rows)
            step, state, memory = self._started(batch)
            if ctc_weight:
                memory = memory._replace(states=memory.states.to(next(self.model.parameters()).dtype))
                log_probs = self._ctc_model().ctc_log_probs(memory)
                step, state = joint_step(step, ctc_weight), start_joint(state, log_probs, memory.mask)
            limits = config.limits(batch.source_lengths)
            falling = self._scores_fall
            return beam_search(step, state, limits, config, BOS_ID, EOS_ID, n_best, DECODING_STEP, falling)

        most_rows = rows_for_beam(config.beam_size, self.device, INPUTS_PER_BATCH)
        return decode_in_batches([len(array) for array in inputs], decode, most_rows, STEPS_PER_BATCH)

    @torch.inference_mode()
    def generate_by_ctc(self, inputs: Sequence[Any], beam_size: int = 1) -> list[str]:
        """Texts by the CTC head alone: greedy, or by prefix search."""
        check_number("beam_size", beam_size, SEARCH["beam_size"])
        inputs = read_inputs(self.config.front_end, inputs)

        def decode(rows: list[int]) -> list[list[int]]:
            batch = self._collate(inputs, rows)
            memory = self.model.encode(batch.source, batch.source_lengths)
            log_probs = self._ctc_model().ctc_log_probs(memory)
            return (
                ctc_beam_search(log_probs, memory.mask, beam_size)
                if beam_size > 1
                else ctc_greedy(log_probs, memory.mask)
            )

        lengths = [len(array) for array in inputs]
        return self.vocabulary.decode_batch(decode_in_batches(lengths, decode, INPUTS_PER_BATCH, STEPS_PER_BATCH))

    @torch.inference_mode()
    def forced_accuracy(self, inputs: Sequence[Any], texts: Sequence[str]) -> float:
        """Percentage of the tokens of the texts, one per input, that the model finds the most probable behind the true
        ones before them (teacher forcing); the end does not count."""
        inputs = read_inputs(self.config.front_end, inputs)
        pairs = list(zip(inputs, self.vocabulary.encode_batch(list(texts)), strict=True))

        def count(rows: list[int]) -> list[int]:
            batch = collate_inputs(self.config.front_end, [pairs[row] for row in rows]).to(self.device)
            output = self.model(batch.source, batch.source_lengths, batch.target_input)
            right = self.model.decoder.log_probs(output).argmax(-1) == batch.target_output
            real = (batch.target_output != PAD_ID) & (batch.target_output != EOS_ID)
            return (right & real).sum(1).tolist()

        right = decode_in_batches([len(array) for array in inputs], count, INPUTS_PER_BATCH, STEPS_PER_BATCH)
        return 100 * sum(right) / max(1, sum(len(ids) for _, ids in pairs))

    @torch.inference_mode()
    def attention(self, source: Any, tokens: Ids) -> tuple[list[str], list[list[float]]]:
        """Pieces of an output, end of sentence last, and each one's attention over the encoder's steps. Raises
        UserError where the model has no attention."""
        check_attends(self.model)
        for token in tokens:
            check_number("token", token, Whole(0, len(self.vocabulary) - 1))
        front_end = self.config.front_end
        (array,) = read_inputs(front_end, [source])
        batch = collate_inputs(front_end, [(array, tokens)]).to(self.device)
        output = self.model(batch.source, batch.source_lengths, batch.target_input)
        return [*self.vocabulary.pieces(tokens), "</s>"], output.attention[0].tolist()

    def _ctc_model(self) -> CTCSeq2Seq:
        if not isinstance(self.model, CTCSeq2Seq):
            raise UserError("this model has no CTC head: train it with model.ctc true")
        return self.model

    def _collate(self, inputs: Sequence[Array], rows: list[int]) -> Batch:
        empty: Ids = ()
        pairs = [(inputs[row], empty) for row in rows]
        step = decoding_length_step(max(len(inputs[row]) for row in rows))
        return collate_inputs(self.config.front_end, pairs, step).to(self.device)

    def further_settings(self) -> dict[str, Any]:
        """As `Pretrained` has it."""
        return {"reader": to_dict(self.reader)}

    def save_belongings(self, directory: Path) -> None:
        """As `Pretrained` has it."""
        write_config(directory / GENERATION_FILE, self.search_config)
        self.vocabulary.save(directory / TARGET_FILE)

    @classmethod
    def assembled(cls, directory: Path, model: dict[str, Any], build: Build | None) -> Generator:
        """As `Pretrained` has it."""
        config = from_dict(GeneratorConfig, model, str(directory / CONFIG_FILE))
        vocabulary = Vocabulary.load(directory / TARGET_FILE)
        search = read_config(directory / GENERATION_FILE, SearchConfig)
        module = load_model(directory, build, assemble_generator_model, config, len(vocabulary))
        return cls(module, config, vocabulary, search, stored_reader(directory))
