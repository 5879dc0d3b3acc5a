"""Hidden Markov models of digits, joined to one that reads strips: what recurrent networks are compared with."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

import seq2seq
from handwritten.pen import Strip

LEAST_VARIANCE = 0.01


def read_strips(training: Sequence[Strip], strips: Sequence[Strip], *, states: int = 5) -> list[str]:
    """Digits of strips, as texts: the most probable path (Viterbi) through a loop of one left-to-right model per digit,
    each of `states` states with a Gaussian, all digits of the training equally probable."""
    pieces = pieces_by_digit(training)
    digits = sorted(pieces)
    model = joined([fit_digit(pieces[digit], states) for digit in digits], states)
    texts = []
    for strip in strips:
        path = model.decode(observations(strip))[1]
        begins = (path % states == 0) & (np.diff(path, prepend=-1) != 0)
        texts.append(" ".join(str(digits[place]) for place in path[begins] // states))
    return texts


def observations(strip: Strip) -> np.ndarray:
    """What a state's Gaussian sees of each point [S, 5]: where it lies from the digit's first point, the direction of
    the movement, and whether the pen was lifted. Movements alone, as the networks read them, were far worse."""
    moves, lifted = strip.features[:, :2].astype(np.float64), strip.features[:, 2:]
    track = np.cumsum(moves, 0)
    begins = np.flatnonzero(lifted[:, 0] > 0)
    digit = np.cumsum(lifted[:, 0]).astype(int) - 1
    direction = np.where(lifted > 0, 0, moves / np.hypot(*moves.T)[:, None].clip(min=1e-6))
    return np.concatenate([track - track[begins][digit], direction, lifted], 1)


def pieces_by_digit(strips: Sequence[Strip]) -> dict[int, list[np.ndarray]]:
    """For each digit that occurs, what is observed of its occurrences."""
    pieces: dict[int, list[np.ndarray]] = {}
    for strip in strips:
        parts = np.split(observations(strip), np.cumsum(strip.lengths)[:-1])
        for label, part in zip(strip.labels, parts, strict=True):
            pieces.setdefault(label, []).append(part)
    return pieces


def fit_digit(pieces: list[np.ndarray], states: int) -> Any:
    """A left-to-right model by expectation maximisation, from occurrences cut into equal parts."""
    hmm = _hmmlearn()
    model = hmm.GaussianHMM(states, "diag", min_covar=LEAST_VARIANCE, n_iter=5, init_params="")
    model.startprob_ = np.eye(states)[0]
    step = 0.5 * (np.eye(states) + np.eye(states, k=1))
    step[-1, -1] = 1
    model.params = "tmc"  # zeros of the transitions stay zero
    model.transmat_ = step
    places = np.concatenate([np.arange(len(piece)) * states // len(piece) for piece in pieces])
    rows = np.concatenate(pieces)
    groups = [rows[places == state] for state in range(states)]
    model.means_ = np.stack([group.mean(0) for group in groups])
    model.covars_ = np.stack([group.var(0) + LEAST_VARIANCE for group in groups])
    model.fit(rows, [len(piece) for piece in pieces])
    # Leaving the last state is no part of a single digit's model: as often as a digit ends among the steps there.
    stays = model.predict(rows, [len(piece) for piece in pieces]) == states - 1
    model.leaving = min(1.0, len(pieces) / max(1, stays.sum()))
    return model


def joined(models: Sequence[Any], states: int) -> Any:
    """One model of all digits: the last state of each leads to itself and to the first one of any."""
    count = len(models) * states
    steps = np.zeros((count, count))
    for number, model in enumerate(models):
        own = slice(number * states, (number + 1) * states)
        last = own.stop - 1
        steps[own, own] = model.transmat_
        steps[last, last] = 1 - model.leaving
        steps[last, ::states] += model.leaving / len(models)
    loop = _hmmlearn().GaussianHMM(count, "diag", init_params="")
    loop.startprob_ = np.tile(np.eye(states)[0], len(models)) / len(models)
    loop.transmat_ = steps
    loop.means_ = np.concatenate([model.means_ for model in models])
    # What is read from a fitted model are matrices, what is set are their diagonals.
    loop.covars_ = np.concatenate([np.diagonal(model.covars_, axis1=1, axis2=2) for model in models])
    return loop


def _hmmlearn() -> Any:
    try:
        from hmmlearn import hmm
    except ImportError:
        raise seq2seq.UserError("the comparison needs hmmlearn: pip install 'seq2seq[hmm]'") from None
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)  # each of ten models would report its convergence
    return hmm
