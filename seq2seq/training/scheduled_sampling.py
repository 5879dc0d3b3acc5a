"""Scheduled sampling: the decoder learns to go on from tokens of its own, as it must when it translates."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.errors import check
from seq2seq.model.decoder_state import Output
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.training.in_use import in_use
from seq2seq.training.objectives import ComputeLoss

STEPS_AT_A_TIME = 8
"""Steps whose probabilities, [B, 8, V], are held together."""


def scheduled_sampling(rate: float, label_smoothing: float = 0.0) -> ComputeLoss:
    """Cross-entropy of each target token, given inputs of which a share `rate` are the model's own (Bengio et al. 2015,
    with a constant rate).

    A first pass, under teacher forcing and without gradient or dropout, gives the distributions that they are drawn
    from, all at once (Mihaylova & Martins 2019, with one draw in place of a mixture), so that decoders stay free of a
    loop over time.
    """

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        output = model(batch.source, batch.source_lengths, sampled_inputs(model, batch, rate))
        return model.decoder.loss(output, batch.target_output, label_smoothing)

    return compute_loss


def sampled_inputs(model: Seq2Seq, batch: Batch, rate: float) -> Tensor:
    """The decoder's inputs [B, T]: each true token after the first, with probability `rate`, makes room for what the
    model would have written there, unless that is no token of a text, such as the end. Raises UserError for a model of
    the user's own whose output has no steps."""
    with in_use(model):
        output = model(batch.source, batch.source_lengths, batch.target_input)
        check(
            isinstance(output, Output) and output.attention.dim() == 3,
            "scheduled_sampling takes a model's output step by step: it needs one whose decoder gives an Output",
        )
        drawn = []
        for start in range(0, batch.target_input.shape[1], STEPS_AT_A_TIME):
            steps = slice(start, start + STEPS_AT_A_TIME)
            part = output._replace(features=output.features[:, steps], attention=output.attention[:, steps])
            drawn.append(drawn_tokens(model.decoder.log_probs(part).exp()))
    written = torch.cat(drawn, 1)[:, :-1]
    true = batch.target_input[:, 1:]
    chosen = (torch.rand(true.shape, device=true.device) < rate) & (true != PAD_ID)
    for symbol in (PAD_ID, BOS_ID, EOS_ID):
        chosen &= written != symbol
    return torch.cat((batch.target_input[:, :1], torch.where(chosen, written, true)), 1)


def drawn_tokens(probabilities: Tensor) -> Tensor:
    """[..., V] -> one token each [...] int64, by the probabilities.

    The least of exponential times divided by the probabilities is a draw; unlike torch.multinomial it can be recorded
    as a CUDA graph.
    """
    return (probabilities / torch.empty_like(probabilities).exponential_()).argmax(-1)
