"""Sound as frames of log-mel energies."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seq2seq.config import SIZES, Whole, check_number


class LogMel(nn.Module):
    """Log energies of mel bands: what speech recognisers read (Davis & Mermelstein 1980, with O'Shaughnessy's mel
    scale)."""

    window: Tensor
    filters: Tensor

    def __init__(self, rate: int, bands: int = 40, window_seconds: float = 0.025, step_seconds: float = 0.01) -> None:
        super().__init__()
        check_number("LogMel: rate", rate, Whole(1, 10_000_000))
        check_number("LogMel: bands", bands, SIZES)
        self.size, self.step = round(rate * window_seconds), round(rate * step_seconds)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("filters", mel_filters(rate, self.size, bands), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """[..., n] samples -> [..., frames, bands]; frames = 1 + n // step, each centred on its time."""
        spectrum = torch.stft(samples, self.size, self.step, window=self.window, return_complex=True)
        return torch.log(self.filters @ spectrum.abs().square() + 1e-6).transpose(-1, -2)


def mel_filters(rate: int, size: int, bands: int) -> Tensor:
    """Triangular filters, evenly spaced in mel = 2595 log10(1 + Hz / 700): [bands, size // 2 + 1]."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, bands + 2) / 2595) - 1)
    bins = torch.linspace(0, rate / 2, size // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)
