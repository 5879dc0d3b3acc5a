"""Batches: every pair once, within the budget, in an order that (seed, epoch) decides."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import Tensor

from seq2seq.data.batch import Batch, Pair, collate, halves, map_tensors
from seq2seq.data.bucketing import BatchingConfig, BucketedBatches, cut_into_batches
from seq2seq.data.streams import StreamedBatches
from seq2seq.inference.decoding import like_lengths
from seq2seq.runtime.distributed import World
from seq2seq.runtime.kernels import DECODING_STEP
from tests.thread_ranks import by_ranks

CONFIG = BatchingConfig(max_tokens_per_batch=120)


def pairs(count: int = 300) -> list[Pair]:
    generator = np.random.default_rng(0)
    return [
        (
            generator.integers(4, 50, generator.integers(1, 20)).tolist(),
            [4 + row % 40, *generator.integers(4, 50, generator.integers(0, 20))],
        )
        for row in range(count)
    ]


def dataset(rows: list[Pair]) -> Dataset:
    return Dataset.from_dict(
        {"source_ids": [list(s) for s, _ in rows], "target_ids": [list(map(int, t)) for _, t in rows]}
    )


def contents(batches: Iterator[Batch]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The pairs in batches, padding and special symbols taken off."""
    found = []
    for batch in batches:
        for source, target in zip(batch.source.tolist(), batch.target_output.tolist(), strict=True):
            found.append((tuple(t for t in source if t > 3), tuple(t for t in target if t > 3)))
    return found


def as_tuples(rows: list[Pair]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(tuple(source), tuple(map(int, target))) for source, target in rows]


def test_collate_by_hand() -> None:
    batch = collate([([5, 6, 7], [8]), ([], [9, 9])], length_step=4)
    assert batch.source.tolist() == [[5, 6, 7, 3], [3, 0, 0, 0]]
    assert batch.source_lengths.tolist() == [4, 1]
    assert batch.target_input.tolist() == [[2, 8, 0, 0], [2, 9, 9, 0]]
    assert batch.target_output.tolist() == [[8, 3, 0, 0], [9, 9, 3, 0]]


def test_an_epoch_holds_every_pair_once_within_the_budget_in_few_shapes() -> None:
    rows = pairs()
    batches = list(BucketedBatches(dataset(rows), CONFIG, seed=1).iterate(0))
    assert sorted(contents(iter(batches))) == sorted(as_tuples(rows))
    assert all(len(batch.source) * max(batch.source.shape[1], batch.target_input.shape[1]) <= 120 for batch in batches)
    assert all(width % 4 == 0 for batch in batches for width in (batch.source.shape[1], batch.target_input.shape[1]))


def test_pairs_are_resegmented_by_epoch_and_row_in_the_usual_batches() -> None:
    """Each pair is replaced by its row and the epoch: batches hold the rows that they would hold without."""
    usual = BucketedBatches(dataset(pairs()), CONFIG, seed=1)
    batches = BucketedBatches(
        dataset(pairs()), CONFIG, seed=1, resegment=lambda pair, epoch, row: ([4 + row], [4 + epoch, *pair[1]])
    )
    expected = [[int(row) for row in rows] for rows in usual.plan(2)]
    found = list(batches.iterate(2))
    assert [[int(ids[0]) - 4 for ids in batch.source] for batch in found] == expected
    assert {int(target[0]) for batch in found for target in batch.target_output} == {6}
    assert contents(batches.iterate(2, start=3)) == contents(iter(found[3:]))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    rows = dataset(pairs())

    def order(seed: int, epoch: int) -> list[object]:
        return list(contents(BucketedBatches(rows, CONFIG, seed).iterate(epoch)))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert sorted(map(str, order(1, 0))) == sorted(map(str, order(1, 1)))


@pytest.mark.parametrize("streamed", [False, True])
def test_an_epoch_can_be_entered_in_its_middle(streamed: bool) -> None:
    rows = pairs()
    batches = (
        StreamedBatches(lambda epoch: iter(rows), CONFIG, 100, seed=1)
        if streamed
        else BucketedBatches(dataset(rows), CONFIG, 1)
    )
    whole, tail = list(batches.iterate(3)), list(batches.iterate(3, start=7))
    assert len(whole) - len(tail) == 7
    assert contents(iter(whole[7:])) == contents(iter(tail))


@pytest.mark.parametrize("streamed", [False, True])
def test_ranks_share_an_epoch_evenly(streamed: bool) -> None:
    rows = pairs()

    def part(world: World) -> list[Batch]:
        batches = (
            StreamedBatches(lambda epoch: iter(rows[world.rank :: world.size]), CONFIG, 100, 1, world)
            if streamed
            else BucketedBatches(dataset(rows), CONFIG, 1, world)
        )
        return list(batches.iterate(0))

    parts = by_ranks(2, part)
    assert len(parts[0]) == len(parts[1])
    together = contents(iter(parts[0])) + contents(iter(parts[1]))
    assert len(together) == len(set(together))
    assert set(together) <= set(as_tuples(rows))
    assert len(together) > 0.9 * len(rows)


def test_streamed_epochs_hold_every_pair_once_and_differ() -> None:
    rows = pairs()
    batches = StreamedBatches(lambda epoch: iter(rows), CONFIG, 100, seed=1)
    assert sorted(contents(batches.iterate(0))) == sorted(as_tuples(rows))
    assert contents(batches.iterate(0)) != contents(batches.iterate(1))


def test_a_pair_longer_than_the_budget_stands_alone() -> None:
    lengths = np.array([3, 500, 4, 2])
    batches = [batch.tolist() for batch in cut_into_batches(lengths, lengths, CONFIG, np.arange(4))]
    assert [1] in batches
    assert sorted(row for batch in batches for row in batch) == [0, 1, 2, 3]


def test_an_empty_corpus_has_no_batches() -> None:
    empty = Dataset.from_dict({"source_ids": [[1]], "target_ids": [[1]]}).select([])
    assert list(BucketedBatches(empty, CONFIG, 1).iterate(0)) == []


def test_batches_move_to_a_device() -> None:
    assert all(tensor.device.type == "cpu" for tensor in collate([([4], [5])]).to(torch.device("cpu")))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 63, 64, 65, 200])
def test_batches_to_decode_hold_every_row_in_few_sizes(count: int) -> None:
    chance = random.Random(count)
    lengths = {3 * row: chance.randint(0, 40) for row in range(count)}
    batches = list(like_lengths(lengths, 64, 1_000))
    assert {row for batch in batches for row in batch} == set(lengths)
    for batch in batches:
        assert len(batch) <= DECODING_STEP or len(batch) % DECODING_STEP == 0
        assert len(batch) <= 64 and len(set(batch)) * max(lengths[row] for row in batch) <= 1_000
    ends = [[lengths[row] for row in batch] for batch in batches]
    assert all(one[-1] <= other[0] for one, other in pairwise(ends))
    assert sum(map(len, batches)) - count < DECODING_STEP


def test_a_row_beyond_the_budget_is_decoded_alone() -> None:
    assert list(like_lengths({0: 5, 1: 90, 2: 4}, 64, 20)) == [[2, 0], [1]]


class Weighted(NamedTuple):
    """A batch with fields that may be absent."""

    source: Tensor
    factors: Tensor | None = None
    weights: Tensor | None = None


def test_whatever_joins_a_batch_is_halved_and_moved_with_it_and_may_be_absent() -> None:
    rows = torch.arange(3)
    first, second = halves(Weighted(rows[:, None], weights=rows / 2))
    assert [half.source.tolist() for half in (first, second)] == [[[0]], [[1], [2]]]
    assert first.weights is not None and second.weights is not None
    assert [first.weights.tolist(), second.weights.tolist()] == [[0.0], [0.5, 1.0]]
    assert (first.factors, second.factors) == (None, None)
    moved = map_tensors(second, lambda tensor: tensor.to("meta"))
    assert moved.factors is None and moved.weights is not None
    assert (moved.source.device.type, moved.weights.device.type) == ("meta", "meta")
