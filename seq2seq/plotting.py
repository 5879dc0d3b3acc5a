"""Pictures of a run: loss and BLEU curves, attention maps. matplotlib is an extra and imported only when drawing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.config import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING, VALIDATION, BLEU = "#8fb8de", "#1b4f8a", "#d9822b"
MOST_TICKS = 12
"""Epochs and markers on a curve at most; more would run together."""


def available() -> bool:
    """Whether pictures can be drawn."""
    return find_spec("matplotlib") is not None


def plot_curves(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes training and validation loss, and validation BLEU, over steps, as PNG. records: lines of metrics.jsonl."""
    _save(curves_figure(records), path)


def plot_attention(
    weights: Sequence[Sequence[float]],
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    path: Path,
    title: str = "",
) -> None:
    """Writes attention weights [T][S] as a PNG heat map, a row per target piece and a column per source piece."""
    _save(attention_figure(weights, source_pieces, target_pieces, title), path)


def plot_lines(lines: Mapping[str, Sequence[tuple[float, float]]], path: Path, x_label: str, y_label: str) -> None:
    """Writes named lines of (x, y) points into one PNG."""
    figure = _new_figure(8, 4.8)
    axes = figure.subplots()
    for name, points in lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=name)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _save(figure, path)


def plot_image_attention(image: Any, words: Sequence[str], maps: Sequence[Any], path: Path, columns: int = 6) -> None:
    """Writes a picture [height, width, 3] (0 to 1) once per word of its caption, lit where the word attends.

    maps: per word [rows, columns] weights of the feature map's cells.
    """
    count = len(words) + 1
    rows = -(-count // columns)
    figure = _new_figure(1.7 * columns, 1.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for place in axes:
        place.axis("off")
    axes[0].imshow(image)
    height, width = image.shape[:2]
    for place, word, weights in zip(axes[1:], words, maps, strict=False):
        place.imshow(image)
        place.imshow(
            weights, cmap="inferno", alpha=0.6, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear"
        )
        place.set_title(_label(word), fontsize="medium")
    _save(figure, path)


def plot_sequence_attention(features: Any, words: Sequence[str], weights: Any, path: Path) -> None:
    """Writes a sequence [S, F], time to the right, above the attention of each word of its output, weights [T, S'].

    S' may be smaller than S, where the encoder joins steps.
    """
    figure = _new_figure(8, 2.6 + 0.3 * len(words))
    above, below = figure.subplots(2, 1, height_ratios=(2, 1 + 0.3 * len(words)))
    above.imshow(np.transpose(features), cmap="magma", aspect="auto", origin="lower", interpolation="nearest")
    above.set(xticks=[], yticks=[], ylabel="input")
    below.imshow(weights, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
    below.set_yticks(range(len(words)), [_label(word) for word in words])
    below.set(xlabel="encoder step")
    _save(figure, path)


def plot_frames(rows: Mapping[str, Any], path: Path) -> None:
    """Writes named rows of grey pictures, [S, height, width] with 0 black and 1 white, one above the other."""
    figure = _new_figure(0.6 * max(len(row) for row in rows.values()) + 0.8, 0.7 * len(rows))
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for place, (name, frames) in zip(axes, rows.items(), strict=True):
        framed = np.pad(frames, ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
        # Of an equal aspect the layout would learn too late, and cut the labels off.
        place.imshow(np.concatenate(framed, axis=1), cmap="gray", vmin=0, vmax=1, aspect="auto")
        place.set_ylabel(name, rotation=0, ha="right", va="center")
        place.set(xticks=[], yticks=[])
    _save(figure, path)


def curves_figure(records: Sequence[Mapping[str, Any]]) -> Figure:
    """The figure that `plot_curves` writes."""
    figure = _new_figure(8, 4.8)
    losses = figure.subplots()
    for name, colour, style in (("train_loss", TRAINING, "-"), ("validation_loss", VALIDATION, "o-")):
        points = [(record["step"], record[name]) for record in records if name in record]
        if points:
            losses.plot(
                *zip(*points, strict=True),
                style,
                color=colour,
                ms=4,
                markevery=_stride(len(points)),
                label=name.replace("_", " "),
            )
    losses.set(xlabel="step", ylabel="loss per target token or value")
    losses.grid(alpha=0.25)
    epochs = epoch_steps(records)
    if epochs:
        losses.secondary_xaxis("top").set_xticks([*epochs.values()], [f"{epoch}" for epoch in epochs])
    handles, labels = losses.get_legend_handles_labels()
    points = [(record["step"], record["validation_bleu"]) for record in records if "validation_bleu" in record]
    if points:
        scores = losses.twinx()
        every = _stride(len(points))
        scores.plot(*zip(*points, strict=True), "s-", color=BLEU, ms=4, markevery=every, label="validation BLEU")
        step, best = max(points, key=lambda point: point[1])
        scores.plot(step, best, "*", color=BLEU, ms=13, markeredgecolor="white", label="best")
        scores.annotate(f"{best:.1f}", (step, best), xytext=(0, 9), textcoords="offset points", ha="center", color=BLEU)
        scores.set_ylabel("BLEU", color=BLEU)
        scores.set_ylim(0, max(5.0, best * 1.14))
        more_handles, more_labels = scores.get_legend_handles_labels()
        handles, labels = handles + more_handles, labels + more_labels
    if handles:  # below the axes, where it can hide no curve
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
    losses.set_title("epoch" if epochs else "", fontsize="medium")
    return figure


def epoch_steps(records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step at which each whole epoch ended, the epochs thinned to a round spacing that leaves at most `MOST_TICKS`."""
    # A stream tells whole epochs only, so that many entries have the same: the first of them is where it ended.
    firsts = {record["epoch"]: record["step"] for record in reversed(records) if "epoch" in record}
    points = sorted(firsts.items())
    if not points:
        return {}
    last = int(points[-1][0])
    spacing = _stride(last)
    whole = list(range(spacing, last + 1, spacing))
    steps = np.interp(whole, [0.0, *(epoch for epoch, _ in points)], [0.0, *(step for _, step in points)])
    return dict(zip(whole, steps.tolist(), strict=True))


def _stride(count: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, … that takes at most `MOST_TICKS` steps through count."""
    rounds = (digit * 10**power for power in range(12) for digit in (1, 2, 5))
    return next(stride for stride in rounds if count <= MOST_TICKS * stride)


def attention_figure(
    weights: Sequence[Sequence[float]], source_pieces: Sequence[str], target_pieces: Sequence[str], title: str = ""
) -> Figure:
    """The figure that `plot_attention` writes."""
    figure = _new_figure(2.2 + 0.34 * len(source_pieces), 1.8 + 0.3 * len(target_pieces))
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source_pieces)), [_label(piece) for piece in source_pieces], rotation=60, ha="left")
    axes.set_yticks(range(len(target_pieces)), [_label(piece) for piece in target_pieces])
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    axes.set(xlabel="source", ylabel="target")
    figure.colorbar(image, ax=axes, label="attention weight", fraction=0.05, pad=0.02, aspect=30)
    if title:
        figure.suptitle(_label(title))
    return figure


def _label(piece: str) -> str:
    """A piece as a tick label; "$" would switch matplotlib to mathematical notation."""
    return piece.replace("$", r"\$")


def _new_figure(width: float, height: float) -> Figure:
    if not available():
        raise UserError("drawing needs matplotlib: pip install 'seq2seq[plot]'")
    from matplotlib.figure import Figure

    # Past 60 inches labels stay readable by zooming in, and the picture's memory stays bounded.
    return Figure(figsize=(min(width, 60), min(height, 60)), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box in the picture says as much
        try:
            figure.savefig(temporary, format="png", dpi=110)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
