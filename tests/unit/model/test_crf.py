"""The chain of labels against all label sequences, one by one; and a model that learns what only a chain can know."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import seq2seq
from seq2seq.errors import UserError
from seq2seq.model.crf import LabelChain
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.sequence_model import PredictorConfig, build_predictor_model
from seq2seq.tasks.configs import PredictorTask
from seq2seq.tasks.prediction import train_predictor
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import labelling_and_classification
from tests.tiny_runs import BATCHING, OPTIMIZER

K = 3


def chain() -> LabelChain:
    torch.manual_seed(1)
    made = LabelChain(K).double()
    for parameter in made.parameters():
        parameter.data.normal_()
    return made


def scores(model: LabelChain, logits: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Of every label sequence, by the definition."""
    found = {}
    for labels in itertools.product(range(K), repeat=len(logits)):
        total = model.begin[labels[0]] + model.end[labels[-1]]
        total = total + sum(logits[step, label] for step, label in enumerate(labels))
        found[labels] = (total + sum(model.following[pair] for pair in itertools.pairwise(labels))).item()
    return found


def test_the_likelihood_is_that_of_enumeration() -> None:
    model, lengths = chain(), [4, 1, 2]
    logits, labels = torch.randn(3, 4, K, dtype=torch.float64), torch.randint(K, (3, 4))
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    found = model.log_likelihood(logits, labels, mask)
    for row, length in enumerate(lengths):
        every = scores(model, logits[row, :length])
        normaliser = torch.tensor(list(every.values())).double().logsumexp(0).item()
        own = every[tuple(labels[row, :length].tolist())]
        assert found[row].item() == pytest.approx(own - normaliser, rel=1e-6)


def test_the_best_labels_and_their_probabilities_are_those_of_enumeration() -> None:
    model = chain()
    for length in (1, 2, 5):
        logits = torch.randn(length, K, dtype=torch.float64)
        every = scores(model, logits)
        assert tuple(model.best(logits)) == max(every, key=lambda labels: every[labels])
        likely = torch.tensor(list(every.values())).double().softmax(0)
        expected = torch.zeros(length, K, dtype=torch.float64)
        for labels, probability in zip(every, likely, strict=True):
            for step, label in enumerate(labels):
                expected[step, label] += probability
        torch.testing.assert_close(model.marginals(logits), expected, rtol=1e-6, atol=1e-6)
        with torch.inference_mode():
            torch.testing.assert_close(model.marginals(logits.clone()), expected, rtol=1e-6, atol=1e-6)


def test_a_model_with_a_chain_labels_what_no_step_shows(tmp_path: Path) -> None:
    """Inputs say nothing; the labels alternate, beginning with either one: by steps half of the answers would be
    wrong, together they are one of the two that exist."""
    random = np.random.default_rng(1)
    examples = []
    for _ in range(200):
        labels = (np.arange(5) + random.integers(2)) % 2
        examples.append((np.zeros((5, 1), np.float32), np.stack((labels, np.zeros(5, np.int64)), 1)))
    model = PredictorConfig(FrontEndConfig("features", 1), 4, 0.0, EncoderConfig(4), outputs=3, classes=1, crf=True)
    trainer = TrainerConfig(epochs=8, best_metric="loss", average_decay=0.0)
    config = PredictorTask(str(tmp_path / "run"), model=model, batching=BATCHING, optimizer=OPTIMIZER, trainer=trainer)
    train_predictor(config, examples, examples[:20], labelling_and_classification(1), labels=["a", "b", "only"])
    (found,) = seq2seq.load(tmp_path / "run", kind="predictor").answer([np.zeros((5, 1), np.float32)])
    assert found.labels in (list("ababa"), list("babab"))
    assert found.name == "only"
    assert found.scores == pytest.approx([0.5] * 5, abs=0.1)
    with pytest.raises(UserError, match=r"model\.crf is for labels per step beside a class; set model\.classes"):
        build_predictor_model(PredictorConfig(crf=True))
