"""Recurrent layers against torch's own over packed sequences, and the peephole LSTM against its equations."""

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.errors import UserError
from seq2seq.model.cells import LayerNormLSTM, PeepholeLSTM, RecurrentHighway, build_recurrent
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.initialisation import initialise_model
from seq2seq.model.quasi_recurrent import QRNNLayer, linear_recurrence
from seq2seq.model.recurrent import Cell
from seq2seq.model.seq2seq import ModelConfig

LENGTHS = torch.tensor([6, 1, 4])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_equals_torch_over_packed_sequences(cell: Cell) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(cell, 5, 4).double()
    reference = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell](5, 4, batch_first=True).double()
    reference.load_state_dict(layer.state_dict())
    inputs = torch.randn(3, 6, 5, dtype=torch.float64)
    output, final = reference(pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(output, batch_first=True)
    states, hidden, cell_state = layer(inputs, LENGTHS)
    real = (torch.arange(6) < LENGTHS[:, None])[..., None]
    torch.testing.assert_close(states * real, expected * real)
    torch.testing.assert_close(hidden, final[0][0] if cell == "lstm" else final[0])
    torch.testing.assert_close(cell_state, final[1][0] if cell == "lstm" else final[0])


@pytest.mark.parametrize("cell", get_args(Cell))
def test_stepwise_equals_the_whole(cell: Cell) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(cell, 5, 4).double()
    inputs = torch.randn(2, 6, 5, dtype=torch.float64)
    states, final, final_cell = layer(inputs, torch.tensor([6, 6]))
    hidden = cell_state = torch.zeros(2, 4, dtype=torch.float64)
    for step in range(6):
        hidden, cell_state = layer.step(inputs[:, step], hidden, cell_state)
        torch.testing.assert_close(hidden, states[:, step])
    torch.testing.assert_close((hidden, cell_state), (final, final_cell))


@pytest.mark.parametrize("cell", get_args(Cell))
def test_a_run_from_a_given_state_equals_its_steps_and_the_joint_product(cell: Cell) -> None:
    """Values and gradients; `step` is torch's own cell, but for peepholes."""
    torch.manual_seed(0)
    layer = build_recurrent(cell, 5, 4).double()
    for parameter in layer.parameters():
        parameter.data.normal_()
    inputs = torch.randn(2, 6, 5, dtype=torch.float64)
    start = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    states = [layer.run(inputs, start)]
    by_input, by_hidden, bias = layer.joint_weights()
    for advance in (
        layer.step,
        lambda x, h, c: layer.advance(x @ by_input.t() + h @ by_hidden.t() + bias, h, c),
    ):
        hidden, cell_state = start
        steps = []
        for step in range(6):
            hidden, cell_state = advance(inputs[:, step], hidden, cell_state)
            steps.append(hidden)
        states.append(torch.stack(steps, 1))
    whole, *others = states
    weights = torch.randn(whole.shape, dtype=torch.float64)
    gradients = [torch.autograd.grad((each * weights).sum(), list(layer.parameters())) for each in states]
    for each, gradient in zip(others, gradients[1:], strict=True):
        torch.testing.assert_close(each, whole, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-9, atol=1e-9)


def test_a_projected_lstm_equals_torchs_own_and_its_steps() -> None:
    torch.manual_seed(0)
    layer = build_recurrent("lstm", 5, 6, proj_size=3).double()
    reference = nn.LSTM(5, 6, proj_size=3, batch_first=True).double()
    reference.load_state_dict(layer.state_dict())
    inputs = torch.randn(3, 6, 5, dtype=torch.float64)
    output, final = reference(pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False))
    states, *last = layer(inputs, LENGTHS)
    real = (torch.arange(6) < LENGTHS[:, None])[..., None]
    torch.testing.assert_close(states * real, pad_packed_sequence(output, batch_first=True)[0] * real)
    for each in last:
        torch.testing.assert_close(each, final[0][0])
    start = torch.randn(3, 3, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    whole, (_, cell_state) = reference(inputs, (start[0][None], start[1][None]))
    torch.testing.assert_close(layer.run(inputs, start), whole)
    hidden, cell = start
    for step in range(6):
        hidden, cell = layer.step(inputs[:, step], hidden, cell)
        torch.testing.assert_close(hidden, whole[:, step])
    torch.testing.assert_close(cell, cell_state[0])


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_a_peephole_step_follows_its_equations() -> None:
    """One unit, one input, worked out with plain numbers (Graves et al. 2013, eq. 3-7)."""
    layer = PeepholeLSTM(1, 1).double()
    with torch.no_grad():
        layer.weight_ih.copy_(torch.tensor([[0.1], [0.2], [0.3], [0.4]]))
        layer.weight_hh.copy_(torch.tensor([[0.5], [-0.6], [0.7], [-0.8]]))
        layer.bias.copy_(torch.tensor([0.01, 0.02, 0.03, 0.04]))
        layer.peepholes.copy_(torch.tensor([[0.9], [-1.0], [1.1]]))
    states, hidden, cell = layer(torch.tensor([[[2.0], [-3.0]]], dtype=torch.float64), torch.tensor([2]))
    h = c = 0.0
    for x, state in zip((2.0, -3.0), states[0, :, 0].tolist(), strict=True):
        ingoing = sigmoid(0.1 * x + 0.5 * h + 0.01 + 0.9 * c)
        forget = sigmoid(0.2 * x - 0.6 * h + 0.02 - 1.0 * c)
        c = forget * c + ingoing * math.tanh(0.3 * x + 0.7 * h + 0.03)
        h = sigmoid(0.4 * x - 0.8 * h + 0.04 + 1.1 * c) * math.tanh(c)
        assert state == pytest.approx(h, abs=1e-7)
    assert (hidden.item(), cell.item()) == pytest.approx((h, c), abs=1e-7)


def test_peephole_gradients() -> None:
    torch.manual_seed(0)
    layer = PeepholeLSTM(3, 2).double()
    layer.peepholes.data.normal_()
    inputs = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(layer.parameters())
    assert torch.autograd.gradcheck(lambda *_: layer(inputs, torch.tensor([4, 2])), (inputs, *parameters))


def test_a_highway_step_follows_its_equations() -> None:
    """Two units, plain numbers (Zilly et al. 2017, eq. 6-9): the state passes four times, the input joins the first."""
    torch.manual_seed(0)
    layer = RecurrentHighway(1, 2).double()
    for parameter in layer.parameters():
        parameter.data.normal_()
    assert layer.depth == 4
    inputs = [2.0, -3.0]
    states, hidden, again = layer(torch.tensor(inputs).double()[None, :, None], torch.tensor([2]))
    passes = [(layer.weight_hh, layer.bias), *((each.weight, each.bias) for each in layer.deeper)]
    rows = [(weight.tolist(), bias.tolist()) for weight, bias in passes]
    by_input = layer.weight_ih[:, 0].tolist()
    s = [0.0, 0.0]
    for x, found in zip(inputs, states[0].tolist(), strict=True):
        for number, (weight, bias) in enumerate(rows):
            added = [each * x if number == 0 else 0.0 for each in by_input]
            gates = [weight[row][0] * s[0] + weight[row][1] * s[1] + bias[row] + added[row] for row in range(4)]
            opened = [sigmoid(gates[2 + unit] - 2) for unit in range(2)]
            s = [opened[unit] * math.tanh(gates[unit]) + (1 - opened[unit]) * s[unit] for unit in range(2)]
        assert found == pytest.approx(s, abs=1e-9)
    assert hidden[0].tolist() == again[0].tolist() == pytest.approx(s, abs=1e-9)


def test_a_highway_value_that_moves_little_moves_in_half_precision() -> None:
    """Its gate lets 0.1 % of the candidate, -1, through at each of 400 transitions: against the same in fp32."""
    layer = RecurrentHighway(1, 1)
    for parameter in layer.parameters():
        parameter.data.zero_()
    for bias in (layer.bias, *(each.bias for each in layer.deeper)):
        bias.data.copy_(torch.tensor([-9.0, -4.9]))
    start = torch.full((1, 1), 0.9), torch.full((1, 1), 0.9)
    inputs = torch.zeros(1, 100, 1)
    exact = layer.run(inputs, start)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer.run(inputs, start)
    assert exact[0, -1, 0] < 0.5
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.02)


def test_highway_layers_begin_with_orthogonal_transitions() -> None:
    torch.manual_seed(0)
    layer = initialise_model(nn.Sequential(RecurrentHighway(6, 8)))[0]
    for weight in (layer.weight_hh, *(each.weight for each in layer.deeper)):
        for square in weight.detach().split(8):
            torch.testing.assert_close(square @ square.t(), torch.eye(8))


def test_a_quasi_recurrent_step_follows_its_equations() -> None:
    """One unit, one input, plain numbers (Bradbury et al. 2017, eq. 4, over one step); padding changes nothing."""
    layer = QRNNLayer(1, 1).double()
    with torch.no_grad():
        layer.weight_ih.copy_(torch.tensor([[0.1], [0.2], [0.3]]))
        layer.bias.copy_(torch.tensor([0.01, 0.02, 0.03]))
    inputs = torch.tensor([[[2.0], [-3.0]], [[2.0], [9.0]]], dtype=torch.float64)
    states, hidden, cell = layer(inputs, torch.tensor([2, 1]))
    c, expected = 0.0, []
    for x in (2.0, -3.0):
        forget = sigmoid(0.2 * x + 0.02)
        c = forget * c + (1 - forget) * math.tanh(0.1 * x + 0.01)
        expected.append((sigmoid(0.3 * x + 0.03) * c, c))
    assert states[0, :, 0].tolist() == pytest.approx([each[0] for each in expected], abs=1e-7)
    assert hidden[:, 0].tolist() == pytest.approx([expected[1][0], expected[0][0]], abs=1e-7)
    assert cell[:, 0].tolist() == pytest.approx([expected[1][1], expected[0][1]], abs=1e-7)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_linear_recurrence_equals_its_loop_in_values_and_gradients(steps: int) -> None:
    torch.manual_seed(0)
    factors, added = torch.randn(2, 3, steps, 2, dtype=torch.float64).unbind(0)
    given = tuple(each.requires_grad_() for each in (factors, added, torch.randn(3, 2, dtype=torch.float64)))
    before = added.detach().clone()
    found, last = linear_recurrence(*given), given[2]
    for step in range(steps):
        last = given[0][:, step] * last + given[1][:, step]
        torch.testing.assert_close(found[:, step], last)
    torch.testing.assert_close(added.detach(), before)
    assert torch.autograd.gradcheck(linear_recurrence, given)


def test_a_quasi_recurrent_layer_keeps_a_slowly_changing_cell_in_bf16() -> None:
    """Which in bf16 itself would stand still: 1 - f is less than its precision."""
    layer = QRNNLayer(1, 1)
    with torch.no_grad():
        layer.weight_ih.zero_()
        layer.bias.copy_(torch.tensor([2.0, 7.0, 0.0]))
    inputs = torch.zeros(1, 2_000, 1)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(inputs, torch.tensor([2_000]))[2]
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), layer(inputs, torch.tensor([2_000]))[2], rtol=2e-2, atol=0)


def test_a_quasi_recurrent_step_keeps_it_too() -> None:
    """As input feeding and zoneout take it."""
    layer = QRNNLayer(1, 1)
    gates, hidden, cell = torch.tensor([[2.0, 7.0, 0.0]]), torch.zeros(1, 1), torch.zeros(1, 1)
    half = gates.bfloat16(), hidden.bfloat16(), cell.bfloat16()
    rounded = hidden, cell
    for _ in range(2_000):
        rounded = layer.advance(half[0], rounded[0], rounded[1])
        hidden, cell = layer.advance(gates, hidden, cell)
    assert rounded[0].dtype == torch.bfloat16
    torch.testing.assert_close(rounded[1], cell, rtol=1e-2, atol=0)


def test_quasi_recurrent_layers_begin_as_the_others_do() -> None:
    """Each gate's weights apart, and remembering."""
    torch.manual_seed(0)
    layer = initialise_model(nn.Sequential(QRNNLayer(50, 50)))[0]
    bound = math.sqrt(6 / 100)
    for rows in layer.weight_ih.split(50):
        assert 0.95 * bound < float(rows.abs().max()) <= bound
    assert layer.bias.tolist() == [0.0] * 50 + [1.0] * 50 + [0.0] * 50


def test_a_quasi_recurrent_decoder_takes_over_states_within_one() -> None:
    decoder = DecoderConfig(6, 1, cell="qrnn", coupling="none", bridge="layer_by_layer")
    with pytest.raises(UserError, match=r"takes over states within \[-1, 1\] alone"):
        ModelConfig(encoder=EncoderConfig(3), decoder=decoder)
    ModelConfig(encoder=EncoderConfig(3, cell="qrnn"), decoder=decoder)


def test_recurrent_weights_that_there_are_not_cannot_be_dropped() -> None:
    with pytest.raises(UserError, match=r"model\.decoder\.cell qrnn has no recurrent weights"):
        ModelConfig(decoder=DecoderConfig(cell="qrnn"), recurrent_dropout=0.1)
    with pytest.raises(UserError, match="cell qrnn has no recurrent weights"):
        build_recurrent("qrnn", 3, 4, weight_dropout=0.1)
    with pytest.raises(UserError, match=r"model\.encoder\.cell rhn goes without recurrent_dropout"):
        ModelConfig(encoder=EncoderConfig(cell="rhn"), recurrent_dropout=0.1)


def test_a_layer_normalised_step_follows_its_equations() -> None:
    """Two units, plain numbers (Ba et al. 2016, eq. 20 to 22, with one norm for both products)."""
    torch.manual_seed(0)
    layer = LayerNormLSTM(1, 2).double()
    for parameter in layer.parameters():
        parameter.data.normal_()
    states, _, _ = layer(torch.tensor([[[2.0], [-3.0]]], dtype=torch.float64), torch.tensor([2]))
    by_input, by_hidden, bias = (each.tolist() for each in layer.joint_weights())
    gain, shift = layer.gain.view(5, 2).tolist(), layer.shift.view(5, 2).tolist()

    def normed(values: list[float], which: int) -> list[float]:
        mean = sum(values) / 2
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2 + 1e-5)
        return [(value - mean) / deviation * gain[which][u] + shift[which][u] for u, value in enumerate(values)]

    h = c = [0.0, 0.0]
    for x, state in zip((2.0, -3.0), states[0].tolist(), strict=True):
        rows = [by_input[r][0] * x + sum(by_hidden[r][u] * h[u] for u in (0, 1)) + bias[r] for r in range(8)]
        i, f, g, o = (normed(rows[2 * gate : 2 * gate + 2], gate) for gate in range(4))
        c = [sigmoid(f[u]) * c[u] + sigmoid(i[u]) * math.tanh(g[u]) for u in (0, 1)]
        h = [sigmoid(o[u]) * math.tanh(shown) for u, shown in enumerate(normed(c, 4))]
        assert state == pytest.approx(h, abs=1e-9)


@pytest.mark.gpu
@pytest.mark.parametrize("cell", get_args(Cell))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bf16_on_a_gpu_runs_cudnn_and_gives_what_joins_with_bf16(cell: Cell, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(cell, 6, 8).cuda()
    inputs, lengths = torch.randn(3, 5, 6).cuda(), torch.tensor([5, 3, 1]).cuda()
    expected, *_ = layer(inputs, lengths)
    with torch.autocast("cuda", torch.bfloat16), torch.profiler.profile() as profile:
        states, hidden, _ = layer(inputs.to(dtype), lengths)
        torch.cat((states, expected.bfloat16(), hidden[:, None]), 1).float().sum().backward()
    torch.testing.assert_close(states[0].float(), expected[0], rtol=0.05, atol=0.05)
    by_cudnn = any("cudnn_rnn" in event.key for event in profile.key_averages())
    assert by_cudnn == (cell in ("lstm", "gru", "rnn"))
