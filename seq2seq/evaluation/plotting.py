"""Pictures of a run: curves of loss and scores, attention maps. matplotlib is an extra, imported only when drawing."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.errors import check_argument
from seq2seq.evaluation.fonts import available as available
from seq2seq.evaluation.fonts import check_available, label_width, lettering
from seq2seq.runs.figures import kept_validation, title
from seq2seq.runtime.paths import checked_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TRAINING, VALIDATION, SCORE = "#8fb8de", "#1b4f8a", "#d9822b"
COLOURS, LINE_STYLES = 10, ("-", "--", ":", "-.")
"""Colours that matplotlib goes through, and how lines are drawn the first, second time and so on."""
MOST_TICKS = 12
"""Epochs and markers on a curve at most; more would run together."""
MOST_INCHES = 16.0
"""Width and height of a picture at most: 1,760 pixels, which a screen shows without zooming."""
INCHES_PER_LABEL = 0.17
"""Room that a line of text takes; where pieces are closer, some go without a label."""


def plot_curves(records: Sequence[Mapping[str, Any]], path: Path, best_metric: str = "bleu") -> None:
    """Writes training and validation loss, and the validation figure that chose the best model, over steps, as PNG.

    records: lines of metrics.jsonl. Where the loss chose the best model, BLEU is shown beside it.
    """
    _save(curves_figure(records, best_metric), path)


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
    check_argument("plot_lines", "lines", lines, Mapping)
    path = checked_path(path, "path", "that of a picture")
    _save(lines_figure(lines, x_label, y_label), path)


def lines_figure(lines: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str) -> Figure:
    """What `plot_lines` writes."""
    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    for number, (name, points) in enumerate(lines.items()):
        style = LINE_STYLES[number // COLOURS % len(LINE_STYLES)]
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=f"C{number % COLOURS}", label=name)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)  # where it can hide no line
    return figure


def plot_image_attention(image: Any, words: Sequence[str], maps: Sequence[Any], path: Path, columns: int = 6) -> None:
    """Writes a picture [height, width, 3] (0 to 1) once per word of its caption, lit where the word attends.

    maps: per word [rows, columns] weights of the feature map's cells. Of a long caption the first words are shown.
    """
    check_argument("plot_image_attention", "words", words, list, tuple)
    check_argument("plot_image_attention", "maps", maps, list, tuple, np.ndarray)
    path = checked_path(path, "path", "that of a picture")
    written = lettering(words)
    rows = min(-(-(len(words) + 1) // columns), int(MOST_INCHES / 1.9))
    left_out = max(0, len(words) + 1 - rows * columns)
    figure = new_figure(1.7 * columns, 1.9 * rows)
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
        place.set_title(written.label(word), fontsize="medium", fontfamily=written.families)
    _annotate(figure, written.note, f"{left_out} more words are not shown" if left_out else "")
    _save(figure, path)


def plot_sequence_attention(features: Any, words: Sequence[str], weights: Any, path: Path) -> None:
    """Writes a sequence [S, F], time to the right, above the attention of each word of its output, weights [T, S'].

    S' may be smaller than S, where the encoder joins steps.
    """
    written = lettering(words)
    figure = new_figure(8, 2.6 + 0.3 * len(words))
    room = figure.get_figheight() - 2.6
    above, below = figure.subplots(2, 1, height_ratios=(2, 1 + room))
    above.imshow(np.transpose(features), cmap="magma", aspect="auto", origin="lower", interpolation="nearest")
    above.set(xticks=[], yticks=[], ylabel="input")
    below.imshow(weights, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
    shown = _labelled(len(words), room)
    below.set_yticks(shown, written.labels(words[i] for i in shown), fontfamily=written.families)
    below.set(xlabel="encoder step")
    _annotate(figure, written.note)
    _save(figure, path)


def plot_frames(rows: Mapping[str, Any], path: Path) -> None:
    """Writes named rows of grey pictures, [S, height, width] with 0 black and 1 white, one above the other."""
    check_argument("plot_frames", "rows", rows, Mapping)
    path = checked_path(path, "path", "that of a picture")
    figure = new_figure(0.6 * max(len(row) for row in rows.values()) + 0.8, 0.7 * len(rows))
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for place, (name, frames) in zip(axes, rows.items(), strict=True):
        framed = np.pad(frames, ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
        # Of an equal aspect the layout would learn too late, and cut the labels off.
        place.imshow(np.concatenate(framed, axis=1), cmap="gray", vmin=0, vmax=1, aspect="auto")
        place.set_ylabel(name, rotation=0, ha="right", va="center")
        place.set(xticks=[], yticks=[])
    _save(figure, path)


def curves_figure(records: Sequence[Mapping[str, Any]], best_metric: str = "bleu") -> Figure:
    """The figure that `plot_curves` writes."""
    figure = new_figure(8, 4.8)
    losses = figure.subplots()
    for name, colour, style in (("train_loss", TRAINING, "o-"), ("validation_loss", VALIDATION, "o-")):
        _draw_curve(losses, _points(records, name), name.replace("_", " "), colour, style)
    losses.set(xlabel="step", ylabel="loss per target token or value")
    losses.grid(alpha=0.25)
    epochs = epoch_steps(records)
    if epochs:
        losses.secondary_xaxis("top").set_xticks([*epochs.values()], [f"{epoch}" for epoch in epochs])
    handles, labels = losses.get_legend_handles_labels()
    score = "bleu" if best_metric == "loss" else best_metric
    points = _points(records, f"validation_{score}")
    if points:
        scores = losses.twinx()
        _draw_scores(scores, points, score, kept_validation(records, score) if score == best_metric else None)
        more_handles, more_labels = scores.get_legend_handles_labels()
        handles, labels = handles + more_handles, labels + more_labels
    if handles:  # below the axes, where it can hide no curve
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
    losses.set_xlim(left=0)  # of a short run, too, one sees how long it was
    losses.set_title("epoch" if epochs else "", fontsize="medium")
    return figure


def _points(records: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """A figure's (step, value) points."""
    return [(record["step"], record[name]) for record in records if name in record]


def _draw_curve(axes: Axes, points: list[tuple[float, float]], label: str, colour: str, style: str) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, ms=4, markevery=_stride(len(points)), label=label)


def _draw_scores(axes: Axes, points: list[tuple[float, float]], name: str, kept: Mapping[str, Any] | None) -> None:
    """The curve of a figure, and of the model that was kept if the figure chose it."""
    _draw_curve(axes, points, f"validation {title(name)}", SCORE, "s-")
    if kept is not None:
        step, best = kept["step"], kept[f"validation_{name}"]
        axes.plot(step, best, "*", color=SCORE, ms=13, markeredgecolor="white", label="best")
        axes.annotate(f"{best:.1f}", (step, best), xytext=(0, 9), textcoords="offset points", ha="center", color=SCORE)
    axes.set_ylabel(title(name), color=SCORE)
    axes.set_ylim(0, max(5.0, max(value for _, value in points) * 1.14))


def epoch_steps(records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step at which each whole epoch ended, the epochs thinned to a round spacing that leaves at most `MOST_TICKS`."""
    # A stream reports whole epochs only, so that many entries have the same: the first of them is where it ended.
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
    weights: Sequence[Sequence[float]], source_pieces: Sequence[str], target_pieces: Sequence[str], heading: str = ""
) -> Figure:
    """The figure that `plot_attention` writes."""
    written = lettering((*source_pieces, *target_pieces, heading))
    columns, rows = written.labels(source_pieces), written.labels(target_pieces)
    # Room for everything but the map; labels of columns are oblique.
    beside = max(2.2, 1.7 + 0.1 * label_width(rows), 2.9 if written.note else 0)
    above = max(1.8, 1.2 + 0.09 * label_width(columns)) + (0.3 if written.note else 0)
    figure = new_figure(beside + 0.34 * len(columns), above + 0.3 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    shown = _labelled(len(columns), figure.get_figwidth() - beside)
    axes.set_xticks(shown, [columns[i] for i in shown], rotation=60, ha="left", fontfamily=written.families)
    shown = _labelled(len(rows), figure.get_figheight() - above)
    axes.set_yticks(shown, [rows[i] for i in shown], fontfamily=written.families)
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    axes.set(xlabel="source", ylabel="target")
    figure.colorbar(image, ax=axes, label="attention weight", fraction=0.05, pad=0.02, aspect=30)
    if heading:
        figure.suptitle(written.label(heading), fontfamily=written.families)
    _annotate(figure, written.note)
    return figure


def _labelled(count: int, inches: float) -> range:
    """Which of so many pieces beside each other get a label: all, or as many as there is room for."""
    return range(0, count, max(1, math.ceil(count * INCHES_PER_LABEL / inches)))


def _annotate(figure: Figure, *notes: str) -> None:
    """Writes what the reader has to know below the picture."""
    text = "; ".join(note for note in notes if note)
    if text:
        figure.supxlabel(text, fontsize="small")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, or as many as a screen shows. Raises UserError without matplotlib."""
    check_available()
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, MOST_INCHES), min(height, MOST_INCHES)), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=110)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
