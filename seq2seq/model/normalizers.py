"""From scores to probabilities: softmax, and two maps that give 0 to scores far below the best: sparsemax (Martins &
Astudillo 2016) and 1.5-entmax, which lies between them (Peters, Niculae & Martins 2019); with the losses that belong to
them."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from seq2seq.errors import UserError

Normalizer = Literal["softmax", "sparsemax", "entmax15"]


def sparse_package() -> Any:
    """The package entmax. Raises UserError where it is missing."""
    try:
        import entmax  # an extra: softmax does without
    except ModuleNotFoundError:
        raise UserError("sparsemax and entmax15 need entmax: pip install 'seq2seq[sparse]'") from None
    return entmax


def check_normalizers(*normalizers: Normalizer) -> None:
    """Raises UserError where one of them needs a package that is missing."""
    if {*normalizers} - {"softmax"}:
        sparse_package()


def probabilities(scores: Tensor, normalizer: Normalizer) -> Tensor:
    """scores [..., V], -inf where there is no choice, one of each row finite -> probabilities [..., V]."""
    if normalizer == "softmax":
        return scores.softmax(-1)
    normalise = getattr(sparse_package(), normalizer)
    found: Tensor = normalise(scores, dim=-1)
    return found


def log_probabilities(logits: Tensor, normalizer: Normalizer, last: int) -> Tensor:
    """logits [..., V] -> log-probabilities [..., V], -inf of what is impossible. last: a token that always has some
    probability, if only the least number there is, so that an output at its longest length can end."""
    if normalizer == "softmax":
        return logits.log_softmax(-1)
    probs = probabilities(logits, normalizer)
    least = probs.new_zeros(probs.shape[-1])
    least[last] = torch.finfo(probs.dtype).tiny
    return probs.maximum(least).log()


def sparse_loss(logits: Tensor, labels: Tensor, normalizer: Normalizer, smoothing: float) -> Tensor:
    """The Fenchel-Young loss of that map (Blondel et al. 2020), whose gradient by the logits is probabilities less the
    target distribution: as cross-entropy's, label smoothing included. Its least value is 0, of a label far above all
    others. logits [n, V], labels [n] -> [n]."""
    package = sparse_package()
    own = package.SparsemaxLoss if normalizer == "sparsemax" else package.Entmax15Loss
    losses: Tensor = own(reduction="none")(logits, labels)
    if smoothing:
        losses = losses + smoothing * (logits.gather(1, labels[:, None])[:, 0] - logits.mean(1))
    return losses
