"""What search sees of a model, step by step, for comparison with teacher forcing."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.model.seq2seq import Seq2Seq


def stepwise(model: Seq2Seq, batch: Batch) -> Tensor:
    """Log-probabilities [B, T, V] of the steps along the batch's targets."""
    state, found = model.start(batch.source, batch.source_lengths), []
    for position in range(batch.target_input.shape[1]):
        log_probs, state = model.step(batch.target_input[:, position], state)
        found.append(log_probs)
    return torch.stack(found, 1)
