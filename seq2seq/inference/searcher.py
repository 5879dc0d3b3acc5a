"""What trained models that search for their output have in common: settings, precision, ensembles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from seq2seq.data.batch import Batch
from seq2seq.errors import check, check_argument
from seq2seq.inference.fast_decoder import PreparedModels
from seq2seq.inference.pretrained import Pretrained
from seq2seq.model.memory import Memory
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import compute_type
from seq2seq.runtime.distributed import World
from seq2seq.runtime.kernels import DecodingPrecision
from seq2seq.search.beam import SearchConfig
from seq2seq.search.ensemble import EnsembleState, ensemble
from seq2seq.search.step import StepFn


class Searcher(Pretrained):
    """A trained model whose output is found by beam search, alone or in an ensemble. Several threads may call it at
    once, while none of them changes its settings, partners or weights."""

    model: Seq2Seq
    vocabularies: ClassVar[tuple[str, ...]]
    """Attributes whose vocabularies the models of an ensemble share."""

    def __init__(self, model: Seq2Seq, search: SearchConfig | None = None) -> None:
        check_argument(type(self).__name__, "model", model, torch.nn.Module)
        self.model = model.eval()
        self.search_config = search or SearchConfig()
        self.precision: DecodingPrecision = "fp32"
        """int8: 1.5 to 1.8 times as fast on CPUs with VNNI instructions, at the price of a few outputs that differ."""
        self.partners: list[Seq2Seq] = []
        """Further models of an ensemble, see `join`."""
        self.world = World()
        """Processes that share the inputs of each search, which they all begin together, and all get every output."""
        self._prepared = PreparedModels()

    @property
    def _models(self) -> tuple[Seq2Seq, ...]:
        """All that search listens to."""
        return (self.model, *self.partners)

    def join(self, other: Searcher) -> None:
        """Makes an ensemble with another model of this kind: what searches goes by the mean of the models'
        probabilities, with this one's settings; attention that is shown is this model's. Raises UserError where the
        other one is of another kind, or vocabularies or devices differ."""
        own, kind = type(self), type(other).__name__
        check(isinstance(other, own), f"join takes one {own.__name__}, not {kind}; call it once for each model")
        check(self.device == other.device, f"load both models on one device, not on {self.device} and {other.device}")
        for side in self.vocabularies:
            ours, theirs = (getattr(each, side).fingerprint() for each in (self, other))
            check(
                ours == theirs, f"models of an ensemble share their vocabularies; the {side.replace('_', ' ')} differs"
            )
        self.partners += [other.model, *other.partners]

    @torch.inference_mode()
    def _started(self, batch: Batch) -> tuple[StepFn[Any], Any, Memory]:
        """The step of all models together, their state before the first token, and this model's encoded inputs."""
        prepared = self._prepared.of(self._models, self.precision)
        encoding = compute_type("auto", self.device) if self.precision == "int8" else torch.float32
        with torch.autocast(self.device.type, encoding, enabled=encoding != torch.float32):
            memories = [model.encode(batch.source, batch.source_lengths) for model in self._models]
            states = [each.start_from(memory, batch.source) for each, memory in zip(prepared, memories, strict=True)]
        if len(states) == 1:
            return prepared[0].step, states[0], memories[0]
        return ensemble([each.step for each in prepared]), EnsembleState(tuple(states)), memories[0]

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """As the Hub's habit is. Raises UserError, before a file is touched, where this is an ensemble, or a training
        run or files of others lie in the directory; and where the model cannot be written there."""
        check(not self.partners, "an ensemble is not saved as one model; save each of its models")
        return super().save_pretrained(save_directory, **options)
