"""What is dropped, how often, and that nothing is without being asked for."""

import copy
from typing import get_args

import pytest
import torch
from torch import nn

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.model.cells import build_recurrent
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.dropout import DroppedTokens, TokenDropout
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.recurrent import Cell, lstm_weights
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model

SYMBOLS = torch.tensor([0, 1, 2, 3])
TOKENS = torch.cat((SYMBOLS, torch.randint(4, 9, (996,), generator=torch.Generator().manual_seed(1)))).view(1, -1)


@pytest.mark.parametrize("dropped", ["zero", "unk"])
def test_whole_tokens_are_dropped_at_their_rate(dropped: DroppedTokens) -> None:
    """Against each token's own embedding: it is kept (scaled up, or as it is), or else gone in all its units."""
    torch.manual_seed(2)
    embedding, dropout = nn.Embedding(9, 3), TokenDropout(0.3, dropped)
    plain, got = embedding(TOKENS)[0], dropout(TOKENS, embedding)[0]
    lost = (torch.zeros_like(plain) if dropped == "zero" else embedding.weight[1]).expand_as(plain)
    scale = torch.where(TOKENS[0, :, None] > 3, 1 / 0.7, 1.0) if dropped == "zero" else 1.0
    gone, kept = (got == lost).all(-1), torch.isclose(got, plain * scale).all(-1)
    assert (gone | kept).all()
    assert kept[:4].all()
    assert 0.25 < gone[4:].float().mean() < 0.35
    assert torch.equal(dropout.eval()(TOKENS, embedding)[0], plain)


def test_a_dropped_token_may_be_read_as_any_other() -> None:
    torch.manual_seed(2)
    embedding, dropout = nn.Embedding(9, 3), TokenDropout(0.5, "random")
    got = dropout(TOKENS, embedding)[0]
    read = (got[:, None] == embedding.weight).all(-1).float().argmax(1)
    torch.testing.assert_close(got, embedding(read))
    assert torch.equal(read[:4], SYMBOLS)
    changed = (read != TOKENS[0])[4:].float().mean()
    assert 0.34 < changed < 0.46  # of the half that is dropped a fifth is read as it was, by chance
    counts = read[4:][read[4:] != TOKENS[0, 4:]].bincount(minlength=9)
    assert counts[:4].sum() == 0
    assert counts[4:].min() > 40


def features(seed: int = 1, **options: object) -> torch.Tensor:
    """What the output layer reads, of a model in training with these dropouts: [B, T, E]."""
    torch.manual_seed(4)
    sizes = {"encoder": EncoderConfig(4), "decoder": DecoderConfig(6)}
    model: Seq2Seq = build_model(ModelConfig(8, **sizes, **{"dropout": 0.0, **options}), 20, 20).train()  # type: ignore[arg-type]
    torch.manual_seed(seed)
    batch = collate([([4, 5, 6], [7, 8, 9]), ([10, 11], [12])])
    return model(batch.source, batch.source_lengths, batch.target_input).features


@pytest.mark.parametrize(
    "name",
    [
        "embedding_dropout",
        "state_dropout",
        "output_dropout",
        "recurrent_dropout",
        "source_token_dropout",
        "target_token_dropout",
    ],
)
def test_each_rate_drops_alone(name: str) -> None:
    assert torch.equal(features(1), features(2))
    assert not torch.equal(features(1, **{name: 0.5}), features(2, **{name: 0.5}))
    zeros = (features(1, **{name: 0.5}) == 0).any()
    assert zeros == (name == "output_dropout")


@pytest.mark.parametrize("cell", sorted({*get_args(Cell)} - {"qrnn", "rhn"}))
def test_dropped_recurrent_weights_are_the_same_at_every_step(cell: Cell) -> None:
    """Against a layer whose recurrent weights have been dropped beforehand."""
    layer = build_recurrent(cell, 3, 4, weight_dropout=0.4).double().train()
    inputs, lengths, start = torch.randn(2, 5, 3).double(), torch.tensor([5, 3]), torch.randn(2, 2, 4).double()
    twin = copy.deepcopy(layer).eval()
    name = "weight_hh" if cell in ("peephole", "layer_norm_lstm") else "weight_hh_l0"
    torch.manual_seed(3)
    weight = nn.functional.dropout(getattr(layer, name), 0.4)
    assert (weight == 0).any()
    getattr(twin, name).data.copy_(weight)
    torch.manual_seed(3)
    got = layer(inputs, lengths)
    torch.testing.assert_close(got[1:], twin(inputs, lengths)[1:])
    torch.manual_seed(3)
    run = layer.run(inputs, tuple(start))
    torch.testing.assert_close(run, twin.run(inputs, tuple(start)))
    run.sum().backward()
    assert torch.equal(getattr(layer, name).grad == 0, weight == 0)


@pytest.mark.parametrize("cell", get_args(Cell))
def test_zoneout_keeps_last_values_by_its_rate(cell: Cell) -> None:
    """Against the layer's own steps: in training each unit is the last or the new value, with the rate of the last; in
    use the mean of what training draws."""
    torch.manual_seed(0)
    layer = build_recurrent(cell, 3, 4, zoneout=0.3).double()
    plain = layer.layer
    inputs, *last = torch.randn(3, 20_000, 4).double().unbind(0)
    inputs, last = inputs[:1, :3].expand(20_000, -1), [each[:1].expand(20_000, -1) for each in last]
    if not layer.has_cell:
        last = [last[0], last[0]]
    new = plain.step(inputs, *last)
    drawn, used = layer.train().step(inputs, *last), layer.eval().step(inputs, *last)
    for before, after, got, mean in zip(last, new, drawn, used, strict=True):
        kept = got == before
        torch.testing.assert_close(torch.where(kept, before, after), got)
        torch.testing.assert_close(kept.double().mean(0), torch.full((4,), 0.3).double(), atol=0.02, rtol=0)
        torch.testing.assert_close(0.3 * before + 0.7 * after, mean)
        assert len(kept.unique(dim=0)) == 16
    same = torch.equal(drawn[0] == last[0], drawn[1] == last[1])
    assert same == (not layer.has_cell)


@pytest.mark.parametrize("cell", get_args(Cell))
def test_zoneouts_loop_equals_its_steps(cell: Cell) -> None:
    """Values and gradients; padding changes nothing."""
    torch.manual_seed(0)
    layer = build_recurrent(cell, 3, 4, zoneout=0.3).double().eval()
    inputs, lengths = torch.randn(2, 5, 3).double(), torch.tensor([5, 2])
    states, *final = layer(inputs, lengths)
    stepwise = []
    for row, length in enumerate(lengths.tolist()):
        hidden = cell_state = torch.zeros(1, 4).double()
        for step in range(length):
            hidden, cell_state = layer.step(inputs[row : row + 1, step], hidden, cell_state)
            torch.testing.assert_close(hidden[0], states[row, step])
        torch.testing.assert_close((hidden[0], cell_state[0]), (final[0][row], final[1][row]))
        stepwise.append(hidden.sum() + cell_state.sum())
    parameters = list(layer.parameters())
    by_loop = torch.autograd.grad(final[0].sum() + final[1].sum(), parameters)
    torch.testing.assert_close(torch.autograd.grad(sum(stepwise), parameters), by_loop)


def test_zoneout_draws_anew_at_each_step() -> None:
    """In training, wherever a layer runs over time."""
    torch.manual_seed(0)
    layer = build_recurrent("lstm", 3, 400, zoneout=0.5).double().train()
    inputs, start = torch.randn(1, 6, 3).double(), (torch.zeros(1, 400).double(), torch.zeros(1, 400).double())
    for states in (layer(inputs, torch.tensor([6]))[0], layer.run(inputs, start)):
        kept = states[0, 1:] == states[0, :-1]
        assert (kept.double().mean(1) - 0.5).abs().max() < 0.15
        assert len(kept.unique(dim=0)) == 5


def test_input_feeding_drops_recurrent_weights() -> None:
    torch.manual_seed(2)
    decoder = DecoderConfig(6, coupling="input_feeding")
    model = build_model(ModelConfig(8, 0.0, decoder=decoder, recurrent_dropout=0.4), 20, 20).double().train()
    twin = copy.deepcopy(model).eval()
    batch = collate([([4, 5, 6], [7, 8, 9]), ([10, 11], [12])])
    memory = twin.encode(batch.source, batch.source_lengths)
    torch.manual_seed(3)
    for layer in twin.decoder.recurrent_layers():
        weight = lstm_weights(layer)[1]  # type: ignore[arg-type]
        weight.data.copy_(nn.functional.dropout(weight, 0.4))
    torch.manual_seed(3)
    got = model.decoder.unroll(batch.target_input, memory).features
    torch.testing.assert_close(got, twin.decoder.unroll(batch.target_input, memory).features)


def test_one_rate_serves_for_all_that_have_none_of_their_own() -> None:
    assert torch.equal(features(dropout=0.4), features(embedding_dropout=0.4, state_dropout=0.4, output_dropout=0.4))
    assert not torch.equal(features(dropout=0.4), features(dropout=0.4, state_dropout=0.0))
    with pytest.raises(UserError, match=r"model\.state_dropout must be a number from 0 to 1, without 1, not 1"):
        ModelConfig(state_dropout=1.0)
