"""Heads against hand computation, whatever lies on padding."""

import pytest
import torch

from seq2seq.errors import UserError
from seq2seq.model.heads import JointHead, PooledHead, Pooling, RolloutHead
from seq2seq.model.memory import Memory
from seq2seq.model.sequence_model import PredictorConfig


def memory(states: list[list[float]], length: int) -> Memory:
    row = torch.tensor(states)[None]
    mask = torch.arange(row.shape[1])[None] < length
    return Memory(row, mask, row[:, length - 1], row[:, length - 1])


def pooled(pooling: Pooling, source: Memory) -> list[float]:
    head = PooledHead(2, 2, pooling)
    with torch.no_grad():
        head.output.weight.copy_(torch.eye(2))
        head.output.bias.zero_()
    return head(source)[0].tolist()


def test_pooling_by_hand_leaves_padding_out() -> None:
    source = memory([[1.0, -2.0], [3.0, -4.0], [99.0, 99.0]], length=2)
    assert pooled("mean", source) == [2.0, -3.0]
    assert pooled("max", source) == [3.0, -2.0]
    assert pooled("last", source) == [3.0, -4.0]


def test_rollouts_equal_cells_stepped_by_hand() -> None:
    torch.manual_seed(0)
    head = RolloutHead(memory_size=3, outputs=2, rollouts=2, steps=4)
    source = Memory(torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 3), torch.randn(2, 3))
    told = head(source)
    assert told.shape == (2, 8, 2)
    for number, decoder in enumerate(head.decoders):
        hidden, cell = source.final_hidden, source.final_cell
        for step in range(4):
            hidden, cell = torch.lstm_cell(source.final_hidden, (hidden, cell), *decoder.all_weights[0])
            torch.testing.assert_close(told[:, 4 * number + step], head.output(hidden))


def test_conditioned_rollouts_read_what_they_generated_last() -> None:
    torch.manual_seed(0)
    head = RolloutHead(memory_size=3, outputs=2, rollouts=2, steps=4, conditioned=True)
    source = Memory(torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 3), torch.randn(2, 3))
    generated = head(source)
    assert generated.shape == (2, 8, 2)
    for number, decoder in enumerate(head.decoders):
        hidden, cell, last = source.final_hidden, source.final_cell, torch.zeros(2, 2)
        for step in range(4):
            read = torch.cat((source.final_hidden, last), 1)
            hidden, cell = torch.lstm_cell(read, (hidden, cell), *decoder.all_weights[0])
            last = head.output(hidden)
            torch.testing.assert_close(generated[:, 4 * number + step], last)
    with torch.autocast("cpu", torch.bfloat16):
        assert (head(source) - generated).abs().max() < 0.05
    with pytest.raises(UserError, match=r"model\.conditioned goes with model\.answer rollout"):
        PredictorConfig(conditioned=True)


def test_labels_of_steps_see_the_class_of_the_sequence() -> None:
    """By hand: the class is that of the maximum over real steps; its probabilities move each step's labels."""
    head = JointHead(2, 3, 2)
    source = memory([[1.0, -2.0], [3.0, -4.0], [99.0, 99.0]], length=2)
    found = head(source)
    assert found.shape == (1, 3, 5)
    classes = head.sequence.output(torch.tensor([3.0, -2.0]))
    torch.testing.assert_close(found[0, :, 3:], classes.expand(3, 2))
    moved = head.labels_by_class.weight @ classes.softmax(-1)
    torch.testing.assert_close(found[0, :2, :3], head.output(source.states[0, :2]) + moved)


def test_classes_go_with_labels_per_step() -> None:
    for answer, outputs in (("mean", 4), ("steps", 2)):
        with pytest.raises(UserError, match=r"go with model\.answer steps, and must be less than"):
            PredictorConfig(answer=answer, outputs=outputs, classes=2)  # type: ignore[arg-type]
