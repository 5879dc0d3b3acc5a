"""Charts inside a page: matplotlib's figures as SVG whose colours are those of the page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seq2seq.evaluation.plotting import SCORE, TRAINING, VALIDATION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "#000000": "var(--ink)",
    "#ffffff": "var(--paper)",
    "#b0b0b0": "var(--rule)",
    TRAINING: "var(--first)",
    VALIDATION: "var(--second)",
    SCORE: "var(--third)",
}
"""Colours of a figure, and the page's own for them."""
BARS = (VALIDATION, SCORE)


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element. name: unique in the page; ids begin with it."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    content = written.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", content[content.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg ([^>]*?)height="[^"]*"([^>]*?)width="[^"]*"', r"<svg aria-hidden='true' \1\2", svg, count=1)
    for colour, own in COLOURS.items():
        svg = svg.replace(colour, own)
    return svg


def bars_figure(labels: Sequence[str], series: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> Figure:
    """Bars of one or two series beside each other, a group per label."""
    figure = new_figure(7, 3)
    axes = figure.subplots()
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [place + width * (number - (len(series) - 1) / 2) for place in range(len(labels))]
        bars = axes.bar(places, values, width * 0.92, color=BARS[number % 2], label=_plain(name))
        axes.bar_label(bars, fmt="%.1f", fontsize="small")
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _plain(name: str) -> str:
    """A name as a legend shows it: matplotlib reads formulas between dollar signs, and leaves names out that begin with
    an underscore, which a character without width before it prevents."""
    return "\u200b" * name.startswith("_") + name.replace("$", r"\$")
