"""A linear-chain conditional random field: labels of neighbouring steps, chosen together (Lafferty et al. 2001; over a
BiLSTM Huang et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.runtime.device import at_least_fp32


class LabelChain(nn.Module):
    """Scores a sequence of labels by the sum of each step's logit and of a weight for each pair of neighbours, the
    beginning and the end among them. K labels."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.begin = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))
        self.following = nn.Parameter(torch.zeros(labels, labels))
        """[K, K] of a label and the next one"""

    def log_likelihood(self, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """log P of each row's labels: logits [B, S, K], labels [B, S] int64 (any on padding), mask [B, S] bool, one
        real step at least -> [B], fp32 at least."""
        logits = at_least_fp32(logits)
        return self._score(logits, labels.masked_fill(~mask, 0), mask) - self._normaliser(logits, mask)

    def _score(self, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Of the labels given."""
        own = logits.gather(-1, labels[..., None])[..., 0] * mask
        pairs = self.following[labels[:, :-1], labels[:, 1:]] * mask[:, 1:]
        last = labels.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        return self.begin[labels[:, 0]] + own.sum(1) + pairs.sum(1) + self.end[last]

    def _normaliser(self, logits: Tensor, mask: Tensor) -> Tensor:
        """log of the sum of exp(score) over all label sequences: the forward algorithm."""
        reached = self.begin + logits[:, 0]
        for step in range(1, logits.shape[1]):
            further = (reached[:, :, None] + self.following).logsumexp(1) + logits[:, step]
            reached = torch.where(mask[:, step, None], further, reached)
        return (reached + self.end).logsumexp(1)

    @torch.no_grad()
    def best(self, logits: Tensor) -> list[int]:
        """The labels of the highest score, for one sequence's logits [S, K]: the Viterbi algorithm."""
        logits = at_least_fp32(logits)
        reached, before = self.begin + logits[0], []
        for step in logits[1:]:
            scores, origin = (reached[:, None] + self.following).max(0)
            before.append(origin)
            reached = scores + step
        path = [int((reached + self.end).argmax())]
        for origin in reversed(before):
            path.append(int(origin[path[-1]]))
        return path[::-1]

    @torch.no_grad()
    def marginals(self, logits: Tensor) -> Tensor:
        """P(label) of each step of one sequence, [S, K] -> [S, K]: the forward-backward algorithm."""
        logits = at_least_fp32(logits)
        before = [self.begin + logits[0]]
        after: list[Tensor] = [self.end]
        for step in logits[1:]:
            before.append((before[-1][:, None] + self.following).logsumexp(0) + step)
        for step in logits[1:].flip(0):
            after.append((self.following + step + after[-1]).logsumexp(1))
        return (torch.stack(before) + torch.stack(after[::-1])).softmax(-1)
