"""What trained models that search for their output have in common: settings, precision, ensembles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from seq2seq.config import FUSION_WEIGHTS, check_number
from seq2seq.data.batch import Batch
from seq2seq.data.language_units import Pieces
from seq2seq.data.vocabulary import RightToLeft
from seq2seq.errors import check, check_argument
from seq2seq.inference.fast_decoder import STEPPING, InferenceDecoder, PreparedModels, SearchModel
from seq2seq.inference.pretrained import Pretrained
from seq2seq.inference.shortlist import Listed
from seq2seq.model.memory import Memory
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import compute_type
from seq2seq.runtime.distributed import World
from seq2seq.runtime.kernels import DecodingPrecision
from seq2seq.search.beam import SearchConfig
from seq2seq.search.ensemble import EnsembleState, ensemble
from seq2seq.search.shallow_fusion import FusedState, InternalState, shallow_fusion, without_internal
from seq2seq.search.shortlist import ListedState, listed
from seq2seq.search.step import StepFn

if TYPE_CHECKING:
    from seq2seq.inference.character_model import CharacterModel
    from seq2seq.model.language_model import LanguageModel


class Fusion(NamedTuple):
    """A language model that joins in the search."""

    model: LanguageModel
    weight: float
    internal_weight: float
    """Of the internal language model, whose log-probabilities are taken off."""


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
        """int8: 1.5 to 1.8 times as fast on CPUs with VNNI instructions, at the price of a few outputs that differ.
        bf16, fp16: products of half precision, as in training, for GPUs; bf16 on CPUs with AMX or AVX512-BF16, too."""
        self.partners: list[Seq2Seq] = []
        """Further models of an ensemble, see `join`."""
        self.fusion: Fusion | None = None
        """A language model that joins in, see `fuse`."""
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

    def fuse(self, language_model: CharacterModel, weight: float = 0.2, internal_weight: float = 0.0) -> None:
        """Lets a language model join in all searches: a token's score is log P(model) + weight x log P(language model)
        - internal_weight x log P(this model without a source). Scores shown are then of that sum. Raises UserError
        where vocabularies or devices differ."""
        from seq2seq.inference.character_model import CharacterModel

        check_argument("fuse", "language_model", language_model, CharacterModel)
        check_number("weight", weight, FUSION_WEIGHTS)
        check_number("internal_weight", internal_weight, FUSION_WEIGHTS)
        check(
            not internal_weight or not self._gives_zeros,
            "internal_weight divides by probabilities, of which many are 0 unless model.decoder.output_normalizer is "
            "softmax: leave it out",
        )
        units, own = language_model.units, getattr(self, self.vocabularies[-1])
        forwards = not isinstance(own, RightToLeft)
        check(forwards, "this run writes from right to left, which no language model does: rerank with one instead")
        check(
            isinstance(units, Pieces) and units.vocabulary.fingerprint() == own.fingerprint(),
            "the language model is not of the vocabulary that this run writes with: train it with --units subwords "
            "--sentences --vocabulary.source-model on that run's .spm.model",
        )
        ours, theirs = self.device, language_model.device
        check(ours == theirs, f"load both models on one device, not on {ours} and {theirs}")
        self.fusion = Fusion(language_model.model, weight, internal_weight)

    @property
    def _scores_fall(self) -> bool:
        """Whether the scores of search are sums of log-probabilities, from which nothing is taken off."""
        return self.fusion is None or not self.fusion.internal_weight

    @property
    def _gives_zeros(self) -> bool:
        """Whether tokens may have a probability of 0."""
        return any(getattr(model.decoder, "output_normalizer", "softmax") != "softmax" for model in self._models)

    @torch.inference_mode()
    def _started(self, batch: Batch, words: Listed | None = None) -> tuple[StepFn[Any], Any, Memory]:
        """The step of all models together, their state before the first token, and this model's encoded inputs. With a
        language model the step gives scores, which are no probabilities. words: the tokens that are scored, by whose
        places the step then goes."""
        prepared = self._prepared.of(self._models, self.precision)
        encoding = compute_type("auto" if self.precision == "int8" else self.precision, self.device)
        with torch.autocast(self.device.type, encoding, enabled=encoding != torch.float32):
            memories = [model.encode(batch.source, batch.source_lengths) for model in self._models]
            states = [each.start_from(memory, batch.source) for each, memory in zip(prepared, memories, strict=True)]
        if words is None:
            step, state = together([each.step for each in prepared], states)
        else:
            check(all(isinstance(each, InferenceDecoder) for each in prepared), f"a shortlist is for {STEPPING}")
            fewer = [each.for_tokens(words.tokens) for each in prepared if isinstance(each, InferenceDecoder)]
            steps = [listed(each.step, words.tokens) for each in fewer]
            step, state = together(steps, [ListedState(each, words.barred) for each in states])
        if self.fusion is not None:
            step, state = self._fused(step, state, prepared, batch.source, memories)
        return step, state, memories[0]

    def _fused(
        self, step: StepFn[Any], state: Any, prepared: list[SearchModel], source: Tensor, memories: list[Memory]
    ) -> tuple[StepFn[Any], Any]:
        """The step of the models, with the language model."""
        assert self.fusion is not None
        if self.fusion.internal_weight:
            nothing = torch.zeros_like(source[:, :1])
            states = [each.start_from(empty(memory), nothing) for each, memory in zip(prepared, memories, strict=True)]
            step = without_internal(step, self.fusion.internal_weight)
            state = InternalState(state, together([each.step for each in prepared], states)[1])
        language = self.fusion.model
        return shallow_fusion(step, language.step, self.fusion.weight), FusedState(state, language.start(len(source)))

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """As the Hub's habit is. Raises UserError, before a file is touched, where this is an ensemble, or a training
        run or files of others lie in the directory; and where the model cannot be written there."""
        check(not self.partners, "an ensemble is not saved as one model; save each of its models")
        check(self.fusion is None, "a model is not saved with the language model that joins in; load it without that")
        return super().save_pretrained(save_directory, **options)


def together(steps: list[StepFn[Any]], states: list[Any]) -> tuple[StepFn[Any], Any]:
    """The step of one model, or of an ensemble, and its state."""
    if len(states) == 1:
        return steps[0], states[0]
    return ensemble(steps), EnsembleState(tuple(states))


def empty(memory: Memory) -> Memory:
    """A memory of nothing, for as many sentences: one step of zeros, so that any context is zero."""
    return Memory(
        torch.zeros_like(memory.states[:, :1]),
        torch.ones_like(memory.mask[:, :1]),
        torch.zeros_like(memory.final_hidden),
        torch.zeros_like(memory.final_cell),
        None if memory.beside is None else empty(memory.beside),
    )
