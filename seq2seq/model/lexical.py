"""A decoder that also translates word by word: what it looks at is translated without the context around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder
from seq2seq.model.decoder_state import DecoderState, Output, WithSource
from seq2seq.model.dropout import DropoutRates
from seq2seq.model.memory import Memory


class LexicalDecoder(RecurrentDecoder):
    """A RecurrentDecoder with the lexical model of Nguyen & Chiang (2018, section 4), which helps rare words.

    l = tanh(sum over s of a(s) f_s), the attention a over the source's embeddings f; h^l = tanh(W l) + l; and the
    output layer's logits are W_o h~ + W_l h^l + b. `Output.features` are [h~; h^l].
    """

    def __init__(
        self,
        source: nn.Embedding,
        embedding: nn.Embedding,
        memory_size: int,
        config: DecoderConfig,
        dropout: float | DropoutRates,
        tied: bool,
    ) -> None:
        super().__init__(embedding, memory_size, config, dropout, tied)
        width = source.embedding_dim
        self.source_embedding = source
        self.lexical = nn.Linear(width, width, bias=False)
        self.lexical_output = nn.Linear(width, embedding.num_embeddings, bias=False)

    def start(self, memory: Memory, source: Tensor | None = None) -> DecoderState:
        """As RecurrentDecoder's; source [B, S] int64, of as many steps as the memory."""
        assert source is not None
        state = super().start(memory, source)
        words = self.source_embedding(source).to(memory.states.dtype)
        return state._replace(attention=WithSource(state.attention, words))

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """As RecurrentDecoder's."""
        attention, words = state.attention  # len(words) in place of shape[0] would fix their number in an export
        features, weights, after = self.advance(token, state._replace(attention=attention))
        by_word = self.translated(weights.view(words.shape[0], -1, weights.shape[-1]), words).flatten(0, 1)
        log_probs = self.normalised(self.logits(torch.cat((features, by_word), -1)))
        return log_probs, after._replace(attention=WithSource(after.attention, words))

    def unroll(self, tokens: Tensor, memory: Memory, source: Tensor | None = None) -> Output:
        """As RecurrentDecoder's; features [B, T, 2E]."""
        state = self.start(memory, source)
        attention, words = state.attention
        features, weights = self.unroll_from(state._replace(attention=attention), tokens)
        by_word = self.output_dropout(self.translated(weights, words))
        return Output(torch.cat((features, by_word), -1), weights, memory, source)

    def translated(self, weights: Tensor, words: Tensor) -> Tensor:
        """weights [B, Q, S], words [B, S, E] -> h^l [B, Q, E], within [-2, 2]."""
        looked_at = torch.tanh(weights @ words)
        return torch.tanh(self.lexical(looked_at)) + looked_at

    def logits(self, features: Tensor) -> Tensor:
        """[..., 2E] -> [..., V]."""
        width = self.output.in_features
        by_word = functional.linear(features[..., width:], self.lexical_output.weight)
        return self.output(features[..., :width]) + by_word

    def output_weights(self) -> tuple[Tensor, Tensor]:
        """[V, 2E] and [V]."""
        return torch.cat((self.output.weight, self.lexical_output.weight), 1), self.output.bias
