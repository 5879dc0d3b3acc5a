"""The decoding loop: every row once, in order, in halves where memory runs out."""

import random

import pytest
import torch

from seq2seq.errors import UserError
from seq2seq.inference.decoding import ROWS_PER_BATCH, decode_in_batches, rows_for_beam

LENGTHS = [random.Random(3).randint(0, 30) for _ in range(100)]


def test_results_come_back_in_order_and_blank_rows_are_not_decoded() -> None:
    seen: list[int] = []

    def work(rows: list[int]) -> list[str]:
        seen.extend(rows)
        assert len(rows) <= 16
        assert max(LENGTHS[row] for row in rows) - min(LENGTHS[row] for row in rows) < 12
        return [f"row {row}" for row in rows]

    expected = [f"row {row}" if length else "" for row, length in enumerate(LENGTHS)]
    assert decode_in_batches(LENGTHS, work, 16, 1_000, blank="") == expected
    assert {row for row, length in enumerate(LENGTHS) if length} == set(seen)
    assert decode_in_batches(LENGTHS, work, 16, 1_000) == [f"row {row}" for row in range(100)]
    assert decode_in_batches([], work) == []


def test_rows_are_halved_until_they_fit() -> None:
    lengths = list(LENGTHS)

    def work(rows: list[int]) -> list[int]:
        if sum(lengths[row] for row in rows) > 40:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return [lengths[row] for row in rows]

    assert decode_in_batches(lengths, work) == lengths
    lengths.append(41)
    with pytest.raises(UserError, match="out of memory with a single input"):
        decode_in_batches(lengths, work)


def test_a_wide_beam_leaves_room_for_few_sentences() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert rows_for_beam(1, cpu) == rows_for_beam(5, cpu) == ROWS_PER_BATCH
    assert 1 <= rows_for_beam(1_000, cpu) <= 3
    assert rows_for_beam(10**6, cpu) == rows_for_beam(10**6, gpu) == 1
    assert ROWS_PER_BATCH < rows_for_beam(5, gpu) == 8 * ROWS_PER_BATCH
