"""A decoder that copies: a pointer-generator (See et al. 2017; of inflection: Sharma et al. 2018)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.data.symbols import PAD_ID
from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder, real_rows_first
from seq2seq.model.decoder_state import DecoderState, Output, WithSource
from seq2seq.model.dropout import DropoutRates
from seq2seq.model.losses import LossSum, loss_in_chunks
from seq2seq.model.memory import Memory
from seq2seq.runtime.device import at_least_fp32


class CopyDecoder(RecurrentDecoder):
    """A RecurrentDecoder whose next token is generated or copied from the source (See et al. 2017, eq. 8 and 9).

    P(w) = g P_vocab(w) + (1 - g) sum of the attention a(s) over the steps s whose token is w, with P_vocab the output
    layer's softmax and g = sigmoid(v . h~ + b) of the attentional vector, which is made of state and context. A step
    that holds no token of the target, such as a feature, is not copied: what attention gives to it goes to P_vocab.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        memory_size: int,
        config: DecoderConfig,
        dropout: float | DropoutRates,
        tied: bool,
        beside_size: int = 0,
    ) -> None:
        super().__init__(embedding, memory_size, config, dropout, tied, beside_size)
        self.generation = nn.Linear(embedding.embedding_dim, 1)

    def start(self, memory: Memory, source: Tensor | None = None) -> DecoderState:
        """As RecurrentDecoder's; source [B, S] int64 or [B, S, 1 + F] with factors, of as many steps as the memory,
        whose ids below the target vocabulary's size mean the same token there."""
        state = super().start(memory, source)
        return state._replace(attention=WithSource(state.attention, self.copied_ids(source)))

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """As RecurrentDecoder's."""
        attention, ids = state.attention
        features, weights, after = self.advance(token, state._replace(attention=attention))
        of_hypotheses = ids[:, None].expand_as(weights.view(ids.shape[0], -1, weights.shape[-1])).flatten(0, 1)
        log_probs = self.mixed(self.logits(features), features, weights, of_hypotheses)
        return log_probs, after._replace(attention=WithSource(after.attention, ids))

    def unroll(self, tokens: Tensor, memory: Memory, source: Tensor | None = None) -> Output:
        """As RecurrentDecoder's."""
        return Output(*self.unroll_from(super().start(memory, source), tokens), memory, source)

    def log_probs(self, output: Output) -> Tensor:
        """As RecurrentDecoder's."""
        rows = [each.flatten(0, 1) for each in self._by_step(output)]
        return self.mixed(self.logits(rows[0]), *rows).unflatten(0, output.features.shape[:2])

    def loss(self, output: Output, targets: Tensor, label_smoothing: float = 0.0) -> LossSum:
        """As RecurrentDecoder's."""
        real = targets != PAD_ID
        rows, flat = [each.flatten(0, 1) for each in self._by_step(output)], targets.flatten()
        if not flat.is_cuda:
            chosen = real_rows_first(real)
            rows, flat = [each[chosen] for each in rows], flat[chosen]
        parameters = [*self.output_weights(), *self.generation.parameters()]
        chunk_loss = functools.partial(self._chunk_loss, smoothing=label_smoothing)
        return LossSum(loss_in_chunks(chunk_loss, [*rows, flat], parameters), real.sum())

    def copied_ids(self, source: Tensor | None) -> Tensor:
        """source [B, S] or [B, S, 1 + F] int64 -> the target's ids of its tokens [B, S], PAD_ID where there is none."""
        assert source is not None
        tokens = source[..., 0] if source.dim() > 2 else source
        return tokens.masked_fill(tokens >= self.output.out_features, PAD_ID)

    def mixed(self, logits: Tensor, features: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
        """The output layer's logits [N, V], h~ [N, E], attention [N, S], `copied_ids` [N, S] -> log-probabilities
        [N, V], fp32 at least."""
        logits, weights = at_least_fp32(logits), at_least_fp32(weights)
        gate = at_least_fp32(functional.linear(features, self.generation.weight, self.generation.bias))
        copied = torch.zeros_like(logits).scatter_add(1, ids, weights)
        apart = torch.arange(logits.shape[1], device=ids.device) == PAD_ID
        generate = gate.sigmoid() + (-gate).sigmoid() * copied[:, PAD_ID : PAD_ID + 1]
        copied = (-gate).sigmoid() * copied.masked_fill(apart, 0.0)
        tiny = torch.finfo(logits.dtype).tiny  # the logarithm of 0 has no gradient
        by_vocabulary = logits.log_softmax(-1) + generate.clamp(min=tiny).log()
        return torch.logaddexp(by_vocabulary, copied.clamp(min=tiny).log())

    def _by_step(self, output: Output) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, T, E], attention [B, T, S] and `copied_ids` [B, T, S] of an output."""
        ids = self.copied_ids(output.source)[:, None].expand_as(output.attention)
        return output.features, output.attention, ids

    def _chunk_loss(self, features: Tensor, weights: Tensor, ids: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The loss of some rows [n], summed over those that are no padding."""
        log_probs = self.mixed(self.logits(features), features, weights, ids)
        losses = -(1 - smoothing) * log_probs.gather(1, labels[:, None])[:, 0]
        if smoothing:
            losses = losses - smoothing * log_probs.mean(1)
        return (losses * (labels != PAD_ID)).sum()
