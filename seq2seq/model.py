"""The standard model: source front end + encoder + decoder, rebuilt from its configuration alone."""

from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from seq2seq.attention import check_sizes
from seq2seq.config import DROPOUT, SIZES, check, check_numbers
from seq2seq.decoder import DecoderConfig, DecoderState, LSTMDecoder
from seq2seq.encoder import BiLSTMEncoder, EncoderConfig, SequenceDropout
from seq2seq.memory import Memory
from seq2seq.recurrent import PeepholeLSTM, lstm_weights
from seq2seq.vocabulary import PAD_ID

EMBEDDING_DEVIATION = 0.25
"""Standard deviation of new embeddings. One that doubles as the output layer multiplies a tanh: a narrow start keeps
the logits small for long. Loss after 150 steps on Multi30k: 5.2 at 0.25, 5.4 at 0.15, 5.9 at Xavier's 0.02."""

Tie = Literal["none", "two_way", "three_way"]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and structure of the translation model."""

    embedding_size: int = 256
    """Width of source and target embeddings, and of the attentional vector that the output layer reads."""
    dropout: float = 0.2
    """Probability of dropping a unit of embeddings, LSTM outputs and the attentional vector; one mask per sequence."""
    tie: Tie = "three_way"
    """Shared weights: none, two_way (target embedding = output layer), three_way (source embedding too; joint
    vocabulary)."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The BiLSTM encoder."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """The attentional LSTM decoder."""

    def __post_init__(self) -> None:
        check_numbers(self, "model", embedding_size=SIZES, dropout=DROPOUT)
        check_sizes(self.decoder.attention, self.decoder.hidden_size, self.encoder.top.output_size)


class TokenEmbedding(nn.Module):
    """Source front end for token ids: embedding lookup and dropout."""

    def __init__(self, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = SequenceDropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, S] int64 -> [B, S, E]."""
        return self.dropout(self.embedding(tokens))


class Seq2Seq(nn.Module):
    """A front end, an encoder that returns `Memory`, and a decoder; whatever fits these seams.

    front_end: raw source [B, S, ...] -> [B, S, E]. encoder: ([B, S, E], lengths [B]) -> Memory. decoder: an
    `LSTMDecoder`.
    """

    def __init__(self, front_end: nn.Module, encoder: nn.Module, decoder: LSTMDecoder) -> None:
        super().__init__()
        self.front_end = front_end
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """source [B, S, ...], lengths [B] -> Memory."""
        memory: Memory = self.encoder(self.front_end(source), lengths)
        return memory

    def forward(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: target_input [B, T] begins with bos -> output layer's input [B, T, E], attention [B, T,
        S]."""
        return self.decoder.unroll(target_input, self.encode(source, lengths))

    def start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """The state from which `step` begins."""
        return self.start_from(self.encode(source, lengths))

    def start_from(self, memory: Memory) -> DecoderState:
        """The same, where the source has been encoded already."""
        return self.decoder.start(memory)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """The StepFn of this model (see search.py)."""
        return self.decoder.step(token, state)


def build_model(config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int) -> Seq2Seq:
    """The standard translation model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_model(config, source_vocabulary_size, target_vocabulary_size))


def assemble_model(config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int) -> Seq2Seq:
    """The same with weights of no meaning, for those about to load trained ones."""
    check(
        config.tie != "three_way" or source_vocabulary_size == target_vocabulary_size,
        "model.tie three_way needs one joint vocabulary; with separate ones use two_way (or set vocabulary.joint true)",
    )
    target = nn.Embedding(target_vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
    shared = config.tie == "three_way"
    source = target if shared else nn.Embedding(source_vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
    encoder = BiLSTMEncoder(config.embedding_size, config.encoder, config.dropout)
    decoder = LSTMDecoder(target, encoder.output_size, config.decoder, config.dropout, tied=config.tie != "none")
    return Seq2Seq(TokenEmbedding(source, config.dropout), encoder, decoder)


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
def initialise(module: nn.Module) -> None:
    """Xavier input weights, orthogonal recurrent ones, forget bias 1 in LSTMs (Jozefowicz et al. 2015)."""
    if isinstance(module, nn.RNNBase):
        input_weights, recurrent, input_bias, recurrent_bias = lstm_weights(module)
        _initialise_gates(input_weights, recurrent, module.hidden_size)
        recurrent_bias.zero_()
        _initialise_bias(input_bias, module.hidden_size)
    elif isinstance(module, PeepholeLSTM):
        _initialise_gates(module.weight_ih, module.weight_hh, module.hidden_size)
        _initialise_bias(module.bias, module.hidden_size)
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
