"""Objectives against torch's losses row by row, without padding."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.data.batch import SequenceBatch, collate, collate_sequences
from seq2seq.data.characters import Characters
from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder
from seq2seq.model.decoder_state import Output
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.model.frontends import TokenEmbedding
from seq2seq.model.heads import StepHead
from seq2seq.model.lexical import LexicalDecoder
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import CTCSeq2Seq, ModelConfig, build_model
from seq2seq.model.sequence_model import SequenceModel
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import training_objective
from seq2seq.training.objectives import (
    classification,
    ctc,
    focal,
    joint_attention_ctc,
    labelling,
    labelling_and_classification,
    r_drop,
    regression,
    teacher_forcing,
)


class Given(SequenceModel):
    """Answers what it is given, so that losses can be worked out."""

    def __init__(self, outputs: Tensor, mask: Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.outputs, self.mask = outputs, mask

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.outputs, self.mask


MASK = torch.tensor([[True, True, True], [True, False, False]])
LENGTHS = torch.tensor([3, 1])
NOTHING = torch.zeros(2, 3, 1)


def test_labelling_sums_over_real_steps() -> None:
    logits, labels = torch.randn(2, 3, 4), torch.tensor([[1, 2, 3], [0, 0, 0]])
    loss = labelling()(Given(logits, MASK), SequenceBatch(NOTHING, LENGTHS, labels))
    expected = sum(
        -logits[row, step].log_softmax(-1)[labels[row, step]] for row, step in ((0, 0), (0, 1), (0, 2), (1, 0))
    )
    torch.testing.assert_close((loss.total, loss.tokens), (expected, torch.tensor(4)))


def test_labels_and_the_class_of_the_sequence_add_up() -> None:
    """Outputs: three labels, then two classes; row 1 has one real step."""
    logits = torch.randn(2, 3, 5)
    labels, classes = [[1, 2, 0], [2, 0, 0]], [1, 0]
    targets = torch.tensor([[[label, name] for label in row] for row, name in zip(labels, classes, strict=True)])
    loss = labelling_and_classification(2, class_weight=4)(
        Given(logits, MASK), SequenceBatch(NOTHING, LENGTHS, targets)
    )
    steps = ((0, 0), (0, 1), (0, 2), (1, 0))
    expected = sum(-logits[row, step, :3].log_softmax(-1)[labels[row][step]] for row, step in steps)
    expected = expected - 4 * sum(logits[row, 0, 3:].log_softmax(-1)[classes[row]] for row in (0, 1))
    torch.testing.assert_close((loss.total, loss.tokens), (expected, torch.tensor(4)))


def test_classification_counts_sequences() -> None:
    logits, classes = torch.randn(2, 4), torch.tensor([3, 1])
    loss = classification()(Given(logits, MASK), SequenceBatch(NOTHING, LENGTHS, classes))
    expected = -logits[0].log_softmax(-1)[3] - logits[1].log_softmax(-1)[1]
    torch.testing.assert_close((loss.total, loss.tokens), (expected, torch.tensor(2)))


@pytest.mark.parametrize("per_step", [True, False])
def test_regression_leaves_unknown_values_out(per_step: bool) -> None:
    if per_step:
        targets = torch.tensor([[[1.0, math.nan], [2.0, 3.0]]])
        outputs = torch.tensor([[[0.0, 50.0], [4.0, 3.5]]], requires_grad=True)
    else:
        targets = torch.tensor([[1.0, math.nan, 2.0, 3.0]])
        outputs = torch.tensor([[0.0, 50.0, 4.0, 3.5]], requires_grad=True)
    loss = regression()(Given(outputs, MASK), SequenceBatch(NOTHING, LENGTHS, targets))
    assert (loss.total.item(), loss.tokens.item()) == (1 + 4 + 0.25, 3)
    loss.total.backward()
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == [-2.0, 0.0, 4.0, 1.0]


def test_hubers_loss_is_twice_torchs_and_leaves_unknown_values_out() -> None:
    """torch halves the square; here small errors count as without it."""
    outputs, targets = torch.randn(2, 5) * 2, torch.randn(2, 5)
    known = targets.clone()
    known[0, 2] = math.nan
    loss = regression(0.5)(Given(outputs, MASK), SequenceBatch(NOTHING, LENGTHS, known))
    rows = ~known.isnan()
    expected = 2 * torch.nn.functional.huber_loss(outputs[rows], targets[rows], reduction="sum", delta=0.5)
    torch.testing.assert_close((loss.total, loss.tokens), (expected, torch.tensor(9)))


def test_padding_of_values_is_unknown() -> None:
    batch = collate_sequences([(torch.ones(n, 1).numpy(), torch.full((n, 2), 5.0).numpy()) for n in (1, 3)], 4)
    assert batch.targets.shape == (2, 4, 2)
    assert batch.targets.isnan().sum((1, 2)).tolist() == [6, 2]
    labels = collate_sequences([(torch.ones(n, 1).numpy(), torch.full((n,), 5).numpy()) for n in (1, 3)], 4)
    assert labels.targets.tolist() == [[5, 0, 0, 0], [5, 5, 5, 0]]


def test_ctc_equals_torchs_row_by_row() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 6, 5), torch.tensor([[4, 4, 3], [2, 0, 0]])
    lengths = torch.tensor([6, 3])
    mask = torch.arange(6) < lengths[:, None]
    loss = ctc()(Given(logits, mask), SequenceBatch(NOTHING, lengths, targets))
    rows = ((0, 6, [4, 4, 3]), (1, 3, [2]))
    expected = [
        functional.ctc_loss(
            logits[row, :n].log_softmax(-1), torch.tensor(labels), (n,), (len(labels),), reduction="sum"
        )
        for row, n, labels in rows
    ]
    torch.testing.assert_close((loss.total, loss.tokens), (sum(expected), torch.tensor(4)))


def test_joint_loss_lies_between_its_parts() -> None:
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(9, 6, padding_idx=0)
    encoder = BiLSTMEncoder(6, EncoderConfig(5), 0.0)
    decoder = RecurrentDecoder(torch.nn.Embedding(9, 6, padding_idx=0), 10, DecoderConfig(7), 0.0, tied=True)
    model = CTCSeq2Seq(TokenEmbedding(embedding, 0.0), encoder, decoder, StepHead(10, 9))
    batch = collate([([4, 5, 6, 7], [5, 8]), ([6, 7, 8], [4])])
    by_attention = teacher_forcing(0.1)(_attention_only(model), batch)
    logits = model.ctc_head(model.encode(batch.source, batch.source_lengths))
    mask = torch.arange(5) < batch.source_lengths[:, None]
    labels = torch.tensor([[5, 8], [4, 0]])
    by_ctc = ctc()(Given(logits, mask), SequenceBatch(NOTHING, batch.source_lengths, labels))
    for weight in (0.0, 0.3, 1.0):
        loss = joint_attention_ctc(weight, 0.1)(model, batch)
        torch.testing.assert_close(loss.total, (1 - weight) * by_attention.total + weight * by_ctc.total)
        assert int(loss.tokens) == 5


def test_r_drop_by_hand() -> None:
    """Two passes of one pair at a time, under the dropout that the joint pass draws; sums in plain Python."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(6, 0.4, encoder=EncoderConfig(5), decoder=DecoderConfig(7)), 9, 9).double().train()
    batch = collate([([4, 5, 6, 7], [5, 8]), ([6, 7, 8], [4])])
    alpha, smoothing = 3.0, 0.1
    torch.manual_seed(7)
    loss = r_drop(alpha, smoothing)(model, batch)
    torch.manual_seed(7)
    twice = [torch.cat((each, each)) for each in batch]
    log_probs = model.decoder.log_probs(model(*twice[:3])).tolist()
    expected = 0.0
    for row, targets in enumerate(([5, 8, 3], [4, 3])):
        for step, target in enumerate(targets):
            p, q = log_probs[row][step], log_probs[row + 2][step]
            assert p != q
            for each in (p, q):
                expected -= ((1 - smoothing) * each[target] + smoothing * sum(each) / 9) / 2
            apart = sum(math.exp(a) * (a - b) + math.exp(b) * (b - a) for a, b in zip(p, q, strict=True))
            expected += alpha / 4 * apart
    assert loss.total.item() == pytest.approx(expected, rel=1e-9)
    assert int(loss.tokens) == 5
    plain = teacher_forcing(smoothing)(model.eval(), batch)
    torch.testing.assert_close(r_drop(alpha, smoothing)(model, batch), plain)  # without dropout nothing is apart


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_by_hand(gamma: float) -> None:
    """Sums in plain Python, and gradients against finite differences; with gamma 0 it is cross-entropy."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(4, 0.0, encoder=EncoderConfig(3), decoder=DecoderConfig(3)), 9, 9).double()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    batch = collate([([4, 5, 6, 7], [5, 8]), ([6, 7, 8], [4])])
    loss = focal(gamma, 0.1)(model, batch)
    log_probs = model.decoder.log_probs(model(*list(batch)[:3])).tolist()
    expected = 0.0
    for row, targets in enumerate(([5, 8, 3], [4, 3])):
        for each, target in zip(log_probs[row], targets, strict=False):
            expected -= 0.9 * (1 - math.exp(each[target])) ** gamma * each[target] + 0.1 * sum(each) / 9
    assert loss.total.item() == pytest.approx(expected, rel=1e-9)
    assert int(loss.tokens) == 5
    cross_entropy = teacher_forcing(0.1)(model, batch).total.item()
    assert (loss.total.item() == pytest.approx(cross_entropy)) == (gamma == 0)

    class OfLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self) -> Tensor:
            return focal(gamma, 0.1)(self.model, batch).total

    def of_bias(bias: Tensor) -> Tensor:
        return torch.func.functional_call(OfLoss(), {"model.decoder.output.bias": bias}, ())

    bias = model.decoder.output.bias.detach().clone()
    assert torch.autograd.gradcheck(of_bias, bias.requires_grad_())


def test_the_option_chooses_focal_loss() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(4, 0.0, encoder=EncoderConfig(3), decoder=DecoderConfig(3)), 9, 9)
    batch = collate([([4, 5, 6, 7], [5, 8])])
    config = ExperimentConfig(data="data", source="en", target="de", focal_gamma=2.0, label_smoothing=0.2)
    chosen = training_objective(config, Characters("abcde"))(model, batch)
    torch.testing.assert_close(chosen, focal(2.0, 0.2)(model, batch))


def test_label_smoothing_keeps_focal_loss_from_certainty() -> None:
    """The least loss of one token among nine lies below a probability of 1, at a lower one with a larger gamma."""

    class Given(torch.nn.Module):
        def __init__(self, log_probs: Tensor) -> None:
            super().__init__()
            self.given, self.decoder = log_probs, self

        def forward(self, *_: Tensor) -> Tensor:
            return self.given

        def log_probs(self, output: Tensor) -> Tensor:
            return output

    logits = torch.linspace(-3, 20, 500).double()
    others = torch.zeros(500, 8).double()
    log_probs = torch.cat((others[:, :5], logits[:, None], others[:, 5:]), 1).log_softmax(-1)
    batch = collate([([4], [5])])
    batch = batch._replace(target_output=torch.tensor([[5]]))
    best = []
    for gamma in (0.0, 1.0, 2.0):
        losses = [focal(gamma, 0.1)(Given(each[None, None]), batch).total.item() for each in log_probs]
        best.append(log_probs[losses.index(min(losses)), 5].exp().item())
    assert best[0] == pytest.approx(0.9 + 0.1 / 9, abs=0.01)
    assert best[2] < best[1] < best[0]


def test_focal_loss_of_a_certain_token_has_finite_gradients() -> None:
    """Of gamma below 1 too, whose power has an infinite slope at 0."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(4, 0.0, encoder=EncoderConfig(3), decoder=DecoderConfig(3)), 9, 9)
    model.decoder.output.bias.data[3] = 100.0
    loss = focal(0.5)(model, collate([([4], [])]))
    loss.total.backward()
    assert loss.total.item() == 0.0
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())


@pytest.mark.parametrize("lexical", [False, True])
def test_r_drops_fused_loss_and_gradients_are_those_of_its_plain_twin(lexical: bool) -> None:
    """The twin is what a decoder with a loss of its own gets."""

    class Own(LexicalDecoder if lexical else RecurrentDecoder):  # type: ignore[misc]
        def loss(self, output: Output, targets: Tensor, label_smoothing: float = 0.0) -> LossSum:
            return super().loss(output, targets, label_smoothing)

    torch.manual_seed(0)
    config = ModelConfig(6, 0.4, "two_way", EncoderConfig(5), DecoderConfig(7), lexical=lexical)
    model = build_model(config, 9, 9).double().train()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    batch = collate([([4, 5, 6, 7], [5, 8, 8, 8, 8]), ([6, 7, 8], [4])] * 40)
    found = []
    for kind in (type(model.decoder), Own):
        model.decoder.__class__ = kind
        torch.manual_seed(7)
        loss = r_drop(3.0, 0.1)(model, batch)
        found.append((loss, torch.autograd.grad(loss.total, list(model.parameters()))))
    torch.testing.assert_close(*found)


def _attention_only(model: CTCSeq2Seq) -> torch.nn.Module:
    from seq2seq.model.seq2seq import Seq2Seq

    return Seq2Seq(model.front_end, model.encoder, model.decoder)
