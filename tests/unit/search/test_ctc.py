"""CTC decoding against brute force over all alignments, on cases small enough to list."""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.search.beam import SearchConfig, beam_search
from seq2seq.search.ctc import BLANK, ctc_beam_search, ctc_greedy, joint_step, start_joint

V, LABELS = 6, (4, 5)


def random_log_probs(seed: int, frames: int) -> Tensor:
    """Blank and two labels; the other special symbols never occur."""
    logits = torch.randn(1, frames, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits[..., 1:4] = -math.inf
    return logits.log_softmax(-1)


def collapse(alignment: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(alignment) if label != BLANK)


def probabilities(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """P of every labelling, by listing all alignments."""
    found: dict[tuple[int, ...], float] = {}
    for alignment in itertools.product((BLANK, *LABELS), repeat=log_probs.shape[1]):
        p = math.exp(sum(float(log_probs[0, frame, label]) for frame, label in enumerate(alignment)))
        found[collapse(alignment)] = found.get(collapse(alignment), 0.0) + p
    return found


@pytest.mark.parametrize("seed", range(8))
def test_prefix_beam_finds_the_most_probable_labelling(seed: int) -> None:
    log_probs = random_log_probs(seed, frames=5)
    every = probabilities(log_probs)
    mask = torch.ones(1, 5, dtype=torch.bool)
    assert tuple(ctc_beam_search(log_probs, mask, beam_size=200)[0]) == max(every, key=lambda labels: every[labels])


@pytest.mark.parametrize("seed", range(4))
def test_greedy_is_the_best_alignment_and_ignores_padding(seed: int) -> None:
    log_probs = random_log_probs(seed, frames=6)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    best = max(
        itertools.product((BLANK, *LABELS), repeat=4),
        key=lambda alignment: sum(float(log_probs[0, frame, label]) for frame, label in enumerate(alignment)),
    )
    assert tuple(ctc_greedy(log_probs, mask)[0]) == collapse(best)
    assert ctc_beam_search(log_probs, mask, 200) == ctc_beam_search(log_probs[:, :4], mask[:, :4], 200)


class Nothing(NamedTuple):
    """The state of a step function that knows nothing."""

    rows: Tensor

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> "Nothing":
        return Nothing(self.rows[hypotheses])


def uniform(token: Tensor, state: Nothing) -> tuple[Tensor, Nothing]:
    return torch.zeros(len(token), V, dtype=torch.float64), state


@pytest.mark.parametrize("seed", range(6))
def test_joint_scores_are_the_probabilities_of_prefixes_and_labellings(seed: int) -> None:
    log_probs = random_log_probs(seed, frames=4)
    every = probabilities(log_probs)
    step = joint_step(uniform, 1.0)
    for labels in ((4,), (4, 4), (5, 4), (4, 5, 4)):
        state = start_joint(Nothing(torch.zeros(1)), log_probs, torch.ones(1, 4, dtype=torch.bool))
        total = 0.0
        for before, token in itertools.pairwise((BOS_ID, *labels, EOS_ID)):
            scores, state = step(torch.tensor([before]), state)
            total += float(scores[0, token])
            if token != EOS_ID:
                given = labels[: state.steps]
                begins = sum(p for other, p in every.items() if other[: len(given)] == given)
                assert math.exp(total) == pytest.approx(begins, abs=1e-12)
        assert math.exp(total) == pytest.approx(every.get(labels, 0.0), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_beam_search_over_ctc_alone_finds_the_most_probable_labelling(seed: int) -> None:
    """Two sequences of unlike lengths in one batch, each against its own brute force."""
    long, short = random_log_probs(seed, frames=4), random_log_probs(seed + 100, frames=3)
    both = torch.cat((long, torch.nn.functional.pad(short, (0, 0, 0, 1))))
    mask = torch.tensor([[True] * 4, [True] * 3 + [False]])
    state = start_joint(Nothing(torch.zeros(2)), both, mask)
    config = SearchConfig(beam_size=16, length_penalty=0.0)
    found = beam_search(joint_step(uniform, 1.0), state, torch.tensor([6, 6]), config, BOS_ID, EOS_ID)
    for log_probs, hypotheses in zip((long, short), found, strict=True):
        every = probabilities(log_probs)
        best = max(every, key=lambda labels: every[labels])
        assert tuple(hypotheses[0].tokens) == best
        assert hypotheses[0].log_probability == pytest.approx(math.log(every[best]), abs=1e-9)
