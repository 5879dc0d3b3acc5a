"""First weights of a model, and its number of parameters."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from seq2seq.data.symbols import PAD_ID
from seq2seq.model.cells import LoopedLayer, RecurrentHighway
from seq2seq.model.quasi_recurrent import QRNNLayer
from seq2seq.model.recurrent import lstm_weights

EMBEDDING_DEVIATION = 0.25
"""Standard deviation of new embeddings. One that doubles as the output layer multiplies a tanh: a narrow start keeps
the logits small for long. Loss after 150 steps on Multi30k: 5.2 at 0.25, 5.4 at 0.15, 5.9 at Xavier's 0.02."""


Model = TypeVar("Model", bound=nn.Module)


def initialise_model(model: Model) -> Model:
    """Gives every part its first weights; the order of random draws is that of the parts."""
    model.apply(initialise)
    # Embeddings last: a tied output layer, a Linear, has just been initialised as one.
    for module in [module for module in model.modules() if isinstance(module, nn.Embedding)]:
        nn.init.normal_(module.weight, std=EMBEDDING_DEVIATION)
        module.weight.data[PAD_ID].zero_()
    return model


@torch.no_grad()
def initialise_uniformly(model: Model, limit: float) -> Model:
    """Gives every weight and bias a value drawn evenly from [-limit, limit] (Sutskever et al. 2014, section 3.4)."""
    for parameter in model.parameters():
        parameter.uniform_(-limit, limit)
    for module in [module for module in model.modules() if isinstance(module, nn.Embedding)]:
        module.weight[PAD_ID].zero_()
    return model


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """Xavier input weights, orthogonal recurrent ones, forget bias 1 in LSTMs (Jozefowicz et al. 2015) and
    quasi-recurrent layers."""
    if isinstance(module, nn.RNNBase):
        input_weights, recurrent, input_bias, recurrent_bias = lstm_weights(module)
        _initialise_gates(input_weights, recurrent, module.hidden_size)
        recurrent_bias.zero_()
        _initialise_bias(input_bias, module.hidden_size)
        if module.proj_size:
            nn.init.xavier_uniform_(module.get_parameter("weight_hr_l0"))
    elif isinstance(module, LoopedLayer):
        _initialise_gates(module.weight_ih, module.weight_hh, module.hidden_size)
        _initialise_bias(module.bias, module.hidden_size)
        if isinstance(module, RecurrentHighway):
            for transition in module.deeper:
                for square in transition.get_parameter("weight").split(module.hidden_size):
                    nn.init.orthogonal_(square)
    elif isinstance(module, QRNNLayer):
        for rows in module.weight_ih.split(module.hidden_size):
            nn.init.xavier_uniform_(rows)
        module.bias.zero_()
        module.bias[module.hidden_size : 2 * module.hidden_size] = 1.0
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            module.bias.zero_()


def _initialise_gates(input_weights: Tensor, recurrent: Tensor, size: int) -> None:
    for rows, square in zip(input_weights.split(size), recurrent.split(size), strict=True):
        nn.init.xavier_uniform_(rows)
        nn.init.orthogonal_(square)


def _initialise_bias(bias: Tensor, size: int) -> None:
    bias.zero_()
    if len(bias) == 4 * size:  # LSTMs only; their second gate is the forget gate
        bias[size : 2 * size] = 1.0


def parameter_count(model: nn.Module) -> int:
    """Number of distinct trainable values; shared weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())
