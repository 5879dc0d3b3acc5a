"""The BiLSTM encoder against torch's own bidirectional LSTM over packed sequences."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.errors import UserError
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.dropout import SequenceDropout
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig, join_steps
from seq2seq.model.seq2seq import ModelConfig, build_model

LENGTHS = torch.tensor([7, 1, 4])


def reference_lstm(encoder: BiLSTMEncoder, input_size: int, hidden_size: int) -> nn.LSTM:
    """torch's two-layer bidirectional LSTM with the encoder's weights."""
    lstm = nn.LSTM(input_size, hidden_size, num_layers=2, bidirectional=True, batch_first=True).double()
    for number, layer in enumerate(encoder.layers):
        for direction, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(lstm, f"{name}_l{number}{suffix}").data.copy_(getattr(direction, f"{name}_l0").data)
    return lstm


def test_equals_packed_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(5, EncoderConfig(hidden_size=6, layers=2), dropout=0.0).double()
    inputs = torch.randn(3, 7, 5, dtype=torch.float64)
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    output, (hidden, cell) = reference_lstm(encoder, 5, 6)(packed)
    expected, _ = pad_packed_sequence(output, batch_first=True)
    memory = encoder(inputs, LENGTHS)
    real = memory.mask[..., None]
    torch.testing.assert_close(memory.states * real, expected * real)
    torch.testing.assert_close(memory.final_hidden, torch.cat((hidden[-2], hidden[-1]), -1))
    torch.testing.assert_close(memory.final_cell, torch.cat((cell[-2], cell[-1]), -1))


CONFIGS = [
    *[EncoderConfig(6, 2, merge) for merge in ("concat", "sum", "average", "multiply")],  # type: ignore[arg-type]
    *[EncoderConfig(6, 2, cell=cell) for cell in ("gru", "rnn", "peephole", "rhn")],  # type: ignore[arg-type]
    *[EncoderConfig(6, 2, direction=direction) for direction in ("forward", "backward")],  # type: ignore[arg-type]
    *[EncoderConfig(6, 3, subsampling=factor) for factor in (2, 3)],
    EncoderConfig(6, 2, forward_layers=1),
    EncoderConfig(6, 2, forward_layers=1, proj_size=4),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_padding_changes_nothing(config: EncoderConfig) -> None:
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(5, config, dropout=0.0)
    inputs = torch.randn(3, 7, 5)
    together = encoder(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(inputs[row : row + 1, :length], LENGTHS[row : row + 1])
        steps = int(together.mask[row].sum())
        torch.testing.assert_close(together.states[row, :steps], alone.states[0])
        torch.testing.assert_close(together.final_hidden[row], alone.final_hidden[0])
        torch.testing.assert_close(together.final_cell[row], alone.final_cell[0])


def test_projected_states_are_narrower_and_feed_a_decoder() -> None:
    config = ModelConfig(8, 0.0, encoder=EncoderConfig(6, proj_size=2), decoder=DecoderConfig(5))
    model = build_model(config, 9, 9)
    memory = model.encode(torch.tensor([[4, 5, 3]]), torch.tensor([3]))
    assert memory.states.shape == (1, 3, 4)
    assert (memory.final_hidden.shape, memory.final_cell.shape) == ((1, 4), (1, 4))
    log_probs, _ = model.step(torch.tensor([2]), model.start(torch.tensor([[4, 5, 3]]), torch.tensor([3])))
    assert log_probs.exp().sum().item() == pytest.approx(1.0)
    with pytest.raises(UserError, match=r"model\.encoder\.proj_size must be a whole number from 0 to 5, not 6"):
        EncoderConfig(6, proj_size=6)


def test_forward_layers_read_the_states_below_ahead() -> None:
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(5, EncoderConfig(6, 1, forward_layers=1), dropout=0.0)
    below = BiLSTMEncoder(5, EncoderConfig(6, 1), dropout=0.0)
    below.layers[0].load_state_dict(encoder.layers[0].state_dict())
    lstm = nn.LSTM(12, 6, batch_first=True)
    lstm.load_state_dict(encoder.layers[1].ahead.state_dict())
    inputs = torch.randn(2, 4, 5)
    memory = encoder(inputs, torch.tensor([4, 4]))
    states, (hidden, cell) = lstm(below(inputs, torch.tensor([4, 4])).states)
    torch.testing.assert_close(memory.states, states)
    torch.testing.assert_close((memory.final_hidden, memory.final_cell), (hidden[0], cell[0]))
    assert encoder.output_size == 6


def test_subsampling_joins_neighbours_and_shortens_the_mask() -> None:
    states = torch.arange(1.0, 8).view(1, 7, 1)
    joined, lengths = join_steps(states, torch.tensor([5]), 2)
    assert joined[0].tolist() == [[1, 2], [3, 4], [5, 0], [0, 0]]
    assert lengths.tolist() == [3]
    memory = BiLSTMEncoder(5, EncoderConfig(6, 3, subsampling=2), dropout=0.0)(torch.randn(3, 7, 5), LENGTHS)
    assert memory.mask.sum(1).tolist() == [2, 1, 1]
    assert memory.states.shape == (3, 2, 12)


def test_gradients_do_not_see_padding() -> None:
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(5, EncoderConfig(hidden_size=6), dropout=0.0).double()

    def gradients(padding: float) -> list[torch.Tensor]:
        inputs = torch.full((1, 6, 5), padding, dtype=torch.float64)
        inputs[:, :4] = torch.linspace(-1, 1, 20, dtype=torch.float64).view(1, 4, 5)
        memory = encoder(inputs, torch.tensor([4]))
        loss = (memory.states * memory.mask[..., None]).sum() + memory.final_cell.sum() + memory.final_hidden.sum()
        return list(torch.autograd.grad(loss, list(encoder.parameters())))

    for one, other in zip(gradients(0.0), gradients(9.0), strict=True):
        torch.testing.assert_close(one, other)


def test_sequence_dropout_shares_its_mask_over_time_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = SequenceDropout(0.25).train()(torch.ones(64, 9, 128))
    assert (dropped == dropped[:, :1]).all()
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.03)
