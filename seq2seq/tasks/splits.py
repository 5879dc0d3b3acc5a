"""A split of one corpus or of several: rows to train on, sources to answer with what is expected of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from seq2seq.data.corpus import Corpus, DataConfig, load_corpus, to_evaluate
from seq2seq.data.loading import Columns
from seq2seq.data.mixing import CorpusConfig, corpus_names
from seq2seq.data.split_files import split_files
from seq2seq.data.units import columns_of
from seq2seq.errors import UserError, check
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.evaluate import Part

log = logging.getLogger(__name__)

QUICK_PAIRS, QUICK_SENTENCES = 500, 32
"""Training pairs, and sentences of validation and test, of a smoke run."""


def training_splits(config: ExperimentConfig) -> list[Corpus]:
    """The training split of each corpus. Raises UserError where weights and mixing_temperature both say what is
    drawn."""
    corpora = config.corpora()
    idle = config.mixing_temperature != 1 and any(each.weight is not None for each in corpora)
    check(not idle, "mixing_temperature is for corpora without weights, which are given: leave it or them out")
    return [_shortened(load_corpus(config, corpus, config.train_split), config, QUICK_PAIRS) for corpus in corpora]


def _shortened(split: Any, config: ExperimentConfig, pairs: int) -> Any:
    """The split, or on a smoke run its first few pairs."""
    return split.take(pairs) if config.quick else split


def held_out(config: ExperimentConfig, split: str) -> tuple[list[Corpus], list[CorpusConfig]]:
    """`corpora_with`, on a smoke run the first few sentences of each."""
    found, corpora = corpora_with(config, split)
    return [_shortened(each, config, QUICK_SENTENCES) for each in found], corpora


def corpora_with(config: DataConfig, split: str) -> tuple[list[Corpus], list[CorpusConfig]]:
    """That split of each corpus that has it, and these corpora; the log says which have not. Raises UserError where
    none has it, or one has it and it cannot be read."""
    found, problems = [], []
    for corpus in config.corpora():
        try:
            found.append((load_corpus(config, corpus, split), corpus))
        except UserError as error:
            if _is_there(config, corpus, split):
                raise
            problems.append(error)
    if not found:
        raise problems[0]
    for problem in problems:
        log.warning("no %s data of one corpus: %s", split, problem)
    return [each for each, _ in found], [corpus for _, corpus in found]


def _is_there(config: DataConfig, corpus: CorpusConfig, split: str) -> bool:
    """Whether a folder has files of a split."""
    folder = Path(str(corpus.path)).expanduser()
    columns = Columns(corpus.source, corpus.target, config.features, columns_of(config.columns))
    return folder.is_dir() and bool(split_files(folder, split.split("[")[0], columns))


def together(
    config: DataConfig, splits: list[Corpus], corpora: list[CorpusConfig]
) -> tuple[list[str], list[list[str]], list[Part]]:
    """The sources of a split of these corpora, the references of each, and which of them belong to which corpus, where
    there are several."""
    texts: list[str] = []
    lines: list[list[str]] = []
    parts = []
    for name, corpus, split in zip(corpus_names(corpora), corpora, splits, strict=True):
        sources, several = to_evaluate(config, split)
        parts.append(Part(name, slice(len(texts), len(texts) + len(sources)), corpus.target))
        texts, lines = texts + sources, lines + several
    return texts, lines, parts if len(parts) > 1 else []
