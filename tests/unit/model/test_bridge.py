"""A decoder that takes over the encoder's layers one by one, beside torch's own stacked LSTMs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.errors import UserError
from seq2seq.inference.fast_decoder import prepare
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runtime.kernels import cpu_multiplies_int8

CONFIG = ModelConfig(
    embedding_size=6,
    dropout=0.0,
    encoder=EncoderConfig(hidden_size=5, layers=3, direction="backward"),
    decoder=DecoderConfig(5, 3, attention="none", coupling="none", bridge="layer_by_layer"),
    initial_range=0.5,
)


def stacked(layers: list[nn.LSTM]) -> nn.LSTM:
    """One module of torch with the weights of these layers."""
    made = nn.LSTM(layers[0].input_size, 5, len(layers), batch_first=True).double()
    for number, layer in enumerate(layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(made, f"{name}_l{number}").data.copy_(getattr(layer, f"{name}_l0"))
    return made


@torch.no_grad()
def test_it_equals_torchs_stacked_lstms() -> None:
    """Sutskever et al. 2014: the source backwards into one stack, its last h and c into the other."""
    torch.manual_seed(1)
    model = build_model(CONFIG, 30, 30).double().eval()
    source, lengths = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2])
    target = torch.tensor([[2, 11, 12], [2, 13, 14]])
    encoder = stacked([layer.back for layer in model.encoder.layers])
    decoder = stacked(list(model.decoder.layers))
    output = model(source, lengths, target)
    for row, length in enumerate(lengths.tolist()):
        _, last = encoder(model.front_end(source[row : row + 1, :length].flip(1)))
        hidden, _ = decoder(model.decoder.embedding(target[row : row + 1]), last)
        expected = torch.tanh(model.decoder.readout(hidden))
        torch.testing.assert_close(output.features[row : row + 1], expected, rtol=1e-9, atol=1e-9)
    expected = model.decoder.log_probs(output)
    for stepped in (model, prepare(model)):
        state = stepped.start_from(model.encode(source, lengths), source)
        for place in range(target.shape[1]):
            found, state = stepped.step(target[:, place], state)
            torch.testing.assert_close(found, expected[:, place], rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_the_input_is_read_once_before_the_first_token() -> None:
    """Vinyals et al. 2015: x of step -1 is the projected input, from states of zeros, as one run of torch's LSTM."""
    torch.manual_seed(2)
    decoder_config = replace(CONFIG.decoder, bridge="first_input")
    model = build_model(replace(CONFIG, decoder=decoder_config), 30, 30).double().eval()
    source, lengths = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2])
    target = torch.tensor([[2, 11, 12], [2, 13, 14]])
    output = model(source, lengths, target)
    first = model.decoder.first_input(output.memory.final_hidden)
    inputs = torch.cat((first[:, None], model.decoder.embedding(target)), 1)
    hidden, _ = stacked(list(model.decoder.layers))(inputs)
    torch.testing.assert_close(output.features, torch.tanh(model.decoder.readout(hidden[:, 1:])), rtol=1e-9, atol=1e-9)
    prepared, expected = prepare(model), model.decoder.log_probs(output)
    state = prepared.start_from(output.memory, source)
    for place in range(target.shape[1]):
        found, state = prepared.step(target[:, place], state)
        torch.testing.assert_close(found, expected[:, place], rtol=1e-6, atol=1e-6)
    with pytest.raises(UserError, match=r"first_input reads before anything is attended to; set model\.decoder\.coup"):
        replace(decoder_config, coupling="input_feeding")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_int8_is_not_for_states_that_are_sums(cell: Any) -> None:
    """Nor for projected ones: uint8 would turn what is beyond 1 into a number of the other sign."""
    encoder = EncoderConfig(5, 3, cell=cell, merge="sum")
    decoder = replace(CONFIG.decoder, cell=cell)
    summed = build_model(replace(CONFIG, encoder=encoder, decoder=decoder), 30, 30)
    with pytest.raises(UserError, match=r"sums of two directions \(model\.encoder\.merge sum"):
        prepare(summed, "int8")
    prepare(summed)
    one_way = EncoderConfig(9, 3, direction="backward", proj_size=5)
    projected = build_model(replace(CONFIG, encoder=one_way), 30, 30)
    with pytest.raises(UserError, match=r"projected ones \(model\.encoder\.proj_size"):
        prepare(projected, "int8")
    if cpu_multiplies_int8():
        for merge, bridge in (("average", "layer_by_layer"), ("sum", "projected")):
            within = replace(CONFIG, encoder=replace(encoder, merge=merge), decoder=replace(decoder, bridge=bridge))
            prepare(build_model(within, 30, 30), "int8")


def test_layers_that_do_not_fit_are_refused() -> None:
    for encoder in (EncoderConfig(5, 2, direction="backward"), EncoderConfig(5, 3), EncoderConfig(4, 3)):
        with pytest.raises(UserError, match="layer_by_layer needs encoder layers like the decoder's 3 of 5"):
            replace(CONFIG, encoder=encoder)


def test_first_weights_fill_the_range() -> None:
    torch.manual_seed(1)
    model = build_model(CONFIG, 300, 300)
    values = torch.cat([each.flatten() for each in model.parameters()])
    assert values.abs().max() <= 0.5
    assert values.mean().abs() < 0.01
    assert values.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.03)  # that of even draws
    assert not model.decoder.embedding.weight[0].any()
