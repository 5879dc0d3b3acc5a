"""Configurations of the training tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from seq2seq.config import (
    SIZES,
    PathOption,
    Real,
    Whole,
    check_fields,
    check_numbers,
    from_dict,
    option_types,
    read_mapping,
)
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.corpus import DataConfig
from seq2seq.data.language_units import UnitKind
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.errors import check
from seq2seq.model.language_model import LanguageModelConfig
from seq2seq.model.seq2seq import GeneratorConfig, ModelConfig
from seq2seq.model.sequence_model import PredictorConfig
from seq2seq.runs.stored_model import Kind
from seq2seq.runtime.paths import checked_path
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.evaluate import VALIDATED
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig, check_end


@dataclass(frozen=True)
class TaskConfig:
    """What training decides in every task; a recipe adds fields of its own."""

    kind: ClassVar[Kind]
    """Of the model, see `load`."""

    output: PathOption = ""
    """Run directory; a run found there is taken up again."""
    start_from: PathOption = ""
    """Run directory whose model training starts from, with its vocabulary: to go on with other data or another learning
    rate. On the command line, the model's options are those of that run; others must agree with it but for dropout."""
    quick: bool = False
    """A smoke run: little data, a few steps, figures of no meaning."""
    dry_run: bool = False
    """Check configuration, data and one batch, print the model's shape and memory, train nothing; of a script that
    trains several models, the first one."""
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    """How examples are grouped into batches."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and learning rate."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length of training, validation, checkpoints."""

    def __post_init__(self) -> None:
        check_fields(self, "")

    def count(self, usual: int, quick: int = 64) -> int:
        """Number of examples to make or use."""
        return min(usual, quick) if self.quick else usual

    def directory(self) -> Path:
        """The run directory. Raises UserError where none was given."""
        check(bool(self.output), "say where the run goes: --output DIR")
        return checked_path(self.output, "output", "another --output")

    def chosen_trainer(self) -> TrainerConfig:
        """The trainer's settings; on a smoke run for a few steps."""
        return replace(self.trainer, epochs=1, max_steps=QUICK_STEPS) if self.quick else self.trainer


@dataclass(frozen=True)
class ExperimentConfig(TaskConfig, DataConfig):
    """Everything that decides a training run."""

    kind: ClassVar[Kind] = "translator"

    label_smoothing: float = 0.1
    """Share of the target probability spread evenly over the vocabulary (Szegedy et al. 2016)."""
    r_drop: float = 0.0
    """Weight alpha of R-Drop (Wu et al. 2021): each pair is trained on under two draws of dropout, whose answers are
    drawn towards each other; twice the work per step. 0: off."""
    minimum_risk_samples: int = 0
    """Outputs per sentence that are drawn from the model for minimum risk training (Shen et al. 2016), which minimises
    the expected distance (1 - chrF) from the reference, in place of cross-entropy: with start_from, at a small learning
    rate. 0: off."""
    minimum_risk_sharpness: float = 0.005
    """Power of outputs' probabilities, by which they are weighed in minimum risk training."""
    scheduled_sampling: float = 0.0
    """Probability that the decoder reads, in place of a true target token, one that it would have written itself
    (Bengio et al. 2015, at a constant rate; drawn at once for all steps, as Mihaylova & Martins 2019 do). 0: off."""
    guided_alignment: float = 0.0
    """Weight of guided alignment (Chen et al. 2016): attention is drawn towards the alignments that IBM Model 1 finds
    in the training data. 0: off."""
    focal_gamma: float = 0.0
    """Power gamma of the focal loss (Lin et al. 2017): a target token's loss counts (1 - p)^gamma, p its probability,
    so that what the model is sure of counts less; needs memory for the probabilities of a whole batch. 0: off."""
    bpe_dropout: float = 0.0
    """Probability of leaving out a merge of characters where training sentences are segmented, anew in every epoch
    (Provilkov et al. 2020: 0.1); needs vocabulary.model_type bpe. 0: off."""
    segmentation_alpha: float = 0.0
    """Subword regularisation (Kudo 2018: 0.1 to 0.5): training sentences are segmented anew in every epoch, drawn by
    their segmentations' probability to this power; needs vocabulary.model_type unigram. 0: off."""
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    """The SentencePiece vocabulary."""
    embeddings: PathOption = ""
    """Text file of GloVe or word2vec: the source's embedding (with model.tie three_way the shared one) begins with its
    vectors, of pieces that are whole words there."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Sizes and structure of the model."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Beam search of the finished model."""
    license: str = "unknown"
    """Licence of the model, for the model card: an SPDX identifier, or a name that the Hugging Face Hub has."""

    def __post_init__(self) -> None:
        DataConfig.__post_init__(self)  # checks the types of all fields, those of TaskConfig among them
        check_numbers(self, "", label_smoothing=Real(0, 1, without=(1,)), r_drop=Real(0, 1_000))
        check_numbers(self, "", bpe_dropout=Real(0, 1), segmentation_alpha=Real(0, 100))
        check_numbers(self, "", minimum_risk_samples=Whole(0, 1_000), minimum_risk_sharpness=Real(0, 100))
        check_numbers(
            self, "", scheduled_sampling=Real(0, 1), guided_alignment=Real(0, 1_000), focal_gamma=Real(0, 100)
        )
        check(
            len(self.objectives) < 2,
            f"{' and '.join(self.objectives)} are {len(self.objectives)} objectives: choose one",
        )
        self._check_segmentation()
        self._check_guided()
        check(
            self.model.decoder.output_normalizer == "softmax"
            or not (self.r_drop or self.minimum_risk_samples or self.focal_gamma),
            "r_drop, minimum_risk_samples and focal_gamma take the logarithm of probabilities, which are 0 in part "
            f"with model.decoder.output_normalizer {self.model.decoder.output_normalizer}: leave them out",
        )
        check(
            self.model.tie != "three_way" or self.shares_vocabulary,
            "model.tie three_way needs one joint vocabulary; with separate ones, or features, use two_way",
        )
        check(
            not self.model.copy or (self.vocabulary.joint and self.source_units == self.target_units),
            "model.copy writes the source's pieces: set vocabulary.joint true, and source_units and target_units alike",
        )
        check(
            self.model.features == "tokens" or bool(self.features),
            f"model.features {self.model.features} needs a column of features: --features COLUMN",
        )
        check(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", self.license) is not None,
            f"license must be an identifier such as apache-2.0 or unknown, not {self.license!r}",
        )
        check_best_metric(self, VALIDATED)
        units = self.source_units, self.target_units
        check(
            units == ("auto", "auto") or self.vocabulary.source_model is None,
            "source_units and target_units make vocabularies; leave them out beside vocabulary.source_model",
        )
        check_end(self.optimizer, known=not self.streaming or self.chosen_trainer().max_steps > 0)

    @property
    def objectives(self) -> list[str]:
        """The options that choose another objective than cross-entropy under teacher forcing, of those that are set."""
        return [name for name in OBJECTIVES if getattr(self, name)]

    @property
    def shares_vocabulary(self) -> bool:
        """Whether source and target have one vocabulary, of the same ids."""
        return self.vocabulary.joint and self.source_units == self.target_units and not self.features

    def _check_guided(self) -> None:
        """Raises UserError where there is no attention that alignments could guide, one weight for each token."""
        model = self.model
        fits = model.decoder.attention != "none" and model.alignment == "soft" and model.encoder.subsampling == 1
        check(
            not self.guided_alignment
            or (fits and model.features == "tokens" and model.decoder.attention_normalizer == "softmax"),
            "guided_alignment guides soft attention over the source's tokens: it needs a model.decoder.attention other "
            "than none, model.decoder.attention_normalizer softmax, model.alignment soft, model.features tokens and "
            "model.encoder.subsampling 1",
        )
        check(
            not (self.guided_alignment and self.streaming),
            "guided_alignment learns alignments from the data before training: leave streaming out",
        )

    def _check_segmentation(self) -> None:
        """Raises UserError where a way of drawing segmentations is asked for that the vocabulary has not."""
        if not (self.bpe_dropout or self.segmentation_alpha):
            return
        check(
            not (self.bpe_dropout and self.segmentation_alpha),
            "bpe_dropout and segmentation_alpha are two ways of drawing segmentations: choose one",
        )
        check(
            self.target_order == "left_to_right",
            "bpe_dropout and segmentation_alpha segment text from left to right: leave target_order out",
        )
        check(
            not self.features and self.unicode == "unchanged",
            "bpe_dropout and segmentation_alpha segment text as it is: leave features and unicode out",
        )
        check(
            {"auto", "subwords"}.issuperset((self.source_units, self.target_units)),
            "bpe_dropout and segmentation_alpha draw subwords; set source_units and target_units to subwords",
        )
        if self.start_from or self.vocabulary.source_model:  # which pieces these have, they show when they are read
            return
        for name, kind in (("bpe_dropout", "bpe"), ("segmentation_alpha", "unigram")):
            check(
                not getattr(self, name) or self.vocabulary.model_type == kind,
                f"{name} needs vocabulary.model_type {kind}, not {self.vocabulary.model_type}",
            )


OBJECTIVES = ("r_drop", "minimum_risk_samples", "scheduled_sampling", "guided_alignment", "focal_gamma")
"""Options of which each chooses another objective than cross-entropy under teacher forcing."""
QUICK_STEPS = 3
"""Steps of a smoke run."""


def check_best_metric(config: TaskConfig, figures: Iterable[str]) -> None:
    """Raises UserError where validation will not give the figure that chooses the best model."""
    metric, (*others, last) = config.trainer.best_metric, list(figures)
    known = f"{', '.join(others)} or {last}" if others else last
    check(metric in {*others, last}, f"trainer.best_metric must be {known} in this task, not {metric}")


@dataclass(frozen=True)
class GeneratorTask(TaskConfig):
    """Training of a model from features or images to text."""

    kind: ClassVar[Kind] = "generator"

    model: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes and structure of the model."""
    label_smoothing: float = 0.1
    """Share of the target probability spread evenly over the vocabulary."""
    ctc_weight: float = 0.3
    """Share of CTC in the loss and in joint decoding, where the model has a CTC head."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Beam search of the finished model."""
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    """How files and texts become inputs of the finished model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", label_smoothing=Real(0, 1, without=(1,)), ctc_weight=Real(0, 1))


@dataclass(frozen=True)
class PredictorTask(TaskConfig):
    """Training of a model that labels, classifies or forecasts."""

    kind: ClassVar[Kind] = "predictor"

    model: PredictorConfig = field(default_factory=PredictorConfig)
    """Sizes and structure of the model."""
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    """How files and texts become inputs of the finished model, and what its values mean."""


@dataclass(frozen=True)
class WordTask(PredictorTask):
    """The same of a model that reads words with their characters (see `learn_words`)."""

    vocabulary_size: int = 30_000
    """Words at most; rarer ones are read by their characters alone."""
    embeddings: PathOption = ""
    """Text file of GloVe or word2vec whose vectors the words' embeddings begin with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", vocabulary_size=Whole(8, 1_000_000))


@dataclass(frozen=True)
class LanguageModelTask(TaskConfig):
    """Training of a language model over characters, or over pieces of a vocabulary."""

    kind: ClassVar[Kind] = "language_model"

    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    """Sizes and structure of the model."""
    units: UnitKind = "characters"
    """What the model reads and writes: characters, subwords or words."""
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    """Of subwords and words, learned from the text; with source_model that of another run, such as a translator's
    joint.spm.model, in whose search the model can join then."""
    window: int = 100
    """Characters, subwords or words per training example; what lies before a window is not seen."""
    sentences: bool = False
    """Each line of the text is an example by itself, whatever its length: for a model that joins in the search of a
    translator, which knows nothing before a sentence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", window=SIZES)
        check(
            self.units != "characters" or self.vocabulary.source_model is None,
            "vocabulary.source_model is of subwords or words; set units to one of them",
        )


def read_experiment(path: Path) -> ExperimentConfig:
    """The configuration in a run's config.json, without the options that a recipe has of its own. Raises UserError."""
    stored, known = read_mapping(path), option_types(ExperimentConfig)
    if isinstance(stored, dict):
        stored = {name: value for name, value in stored.items() if name in known}
    return from_dict(ExperimentConfig, stored, where=str(path))
