"""Embeddings that begin with pretrained vectors."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vectors import read_vectors, vector_size
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.layout import CHECKPOINTS_FOLDER
from seq2seq.tasks.base import Run
from seq2seq.tasks.configs import ExperimentConfig, WordTask

log = logging.getLogger(__name__)


def begin_with_vectors(run: Run, model: nn.Module, vocabulary: AnyVocabulary) -> None:
    """Gives the embedding of the source's words, in a model that training begins with, the vectors of the file that
    config.embeddings names. vocabulary: of the source. Raises UserError where they have another width."""
    config: ExperimentConfig | WordTask = run.config
    if not config.embeddings:
        return
    check(
        run.own_build is None, "embeddings: of standard models; give a model of your own its vectors where it is built"
    )
    check(
        not config.start_from, "embeddings: a model that starts from another one has that one's; leave one of them out"
    )
    if not isinstance(vocabulary, Vocabulary):
        raise UserError("embeddings are of words alone: leave features and unicode out")
    if CheckpointStore(config.directory() / CHECKPOINTS_FOLDER).list():  # its embedding has been trained since
        return
    path = Path(config.embeddings)
    name = "front_end.embedding" if isinstance(config, ExperimentConfig) else "front_end.words"
    embedding = model.get_submodule(name)
    assert isinstance(embedding, nn.Embedding)
    _check_width(config, path, embedding.embedding_dim)
    vectors = read_vectors(path, vocabulary)
    with torch.no_grad():
        for row, vector in vectors.items():
            embedding.weight[row] = torch.from_numpy(vector)
    found, of = len(vectors), len(vocabulary)
    log.info("embeddings: %s has vectors for %d of %d pieces (%.1f %%)", path, found, of, 100 * found / of)


def _check_width(config: ExperimentConfig | WordTask, path: Path, width: int) -> None:
    """Raises UserError, naming the option to set, where the vectors are not as wide as the embedding."""
    size = vector_size(path)
    if isinstance(config, ExperimentConfig):
        advice = f"--model.embedding-size {size}"
    else:
        spelled = config.model.front_end.character_size
        advice = f"--model.size {size + spelled}, {spelled} of which are of a word's characters"
    check(size == width, f"{path}: has vectors of {size} numbers, but the model's words have {width}; set {advice}")
