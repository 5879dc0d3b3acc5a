"""Pictures hold the data they are given."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seq2seq.errors import UserError
from seq2seq.evaluation import fonts, plotting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

pytest.importorskip("matplotlib")

RECORDS = [
    {"step": 10, "train_loss": 5.0},
    {"step": 20, "train_loss": 4.0},
    {"step": 20, "validation_loss": 4.2, "validation_bleu": 3.0},
    {"step": 40, "validation_loss": 3.9, "validation_bleu": 9.5},
]


def test_curves_show_the_records() -> None:
    losses, scores = plotting.curves_figure(RECORDS).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in (*losses.lines, *scores.lines)}
    assert drawn["train loss"] == [[10, 5.0], [20, 4.0]]
    assert drawn["validation loss"] == [[20, 4.2], [40, 3.9]]
    assert drawn["validation BLEU"] == [[20, 3.0], [40, 9.5]]
    assert drawn["best"] == [[40, 9.5]]
    assert [text.get_text() for text in scores.texts] == ["9.5"]


@pytest.mark.parametrize(("metric", "best"), [("error_rate", (40, 7.0)), ("bleu", (20, 9.0)), ("loss", None)])
def test_curves_mark_the_best_by_the_figure_that_chose_it(metric: str, best: tuple[float, float] | None) -> None:
    records = [
        {"step": 20, "validation_loss": 4.2, "validation_bleu": 9.0, "validation_error_rate": 8.0},
        {"step": 40, "validation_loss": 3.9, "validation_bleu": 3.0, "validation_error_rate": 7.0},
    ]
    _, scores = plotting.curves_figure(records, metric).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in scores.lines}
    assert drawn.get("best") == ([list(best)] if best else None)
    assert ("validation error rate (%)" in drawn) == (metric == "error_rate")
    assert scores.get_ylim()[1] > 8


def test_a_single_entry_can_be_seen() -> None:
    """A line through one point is nothing; it needs a marker."""
    axes = plotting.curves_figure([{"step": 5, "train_loss": 5.0}]).axes[0]
    assert [line.get_marker() for line in axes.lines] == ["o"]


def test_epochs_stand_at_the_steps_where_they_ended() -> None:
    records = [{"step": 5, "epoch": 0.5}, {"step": 15, "epoch": 1.5}, {"step": 40, "epoch": 4.0}]
    assert plotting.epoch_steps(records) == pytest.approx({1: 10, 2: 20, 3: 30, 4: 40})
    assert plotting.epoch_steps([{"step": 6_000, "epoch": 60.0}]) == pytest.approx(
        {5 * k: 500 * k for k in range(1, 13)}
    )
    stream = [{"step": step, "epoch": step // 10} for step in range(1, 31)]  # which tells whole epochs only
    assert plotting.epoch_steps(stream) == pytest.approx({1: 10, 2: 20, 3: 30})
    assert plotting.epoch_steps([{"step": 3, "epoch": 0.2}]) == plotting.epoch_steps(RECORDS) == {}


def test_attention_map_has_a_row_per_target_piece() -> None:
    figure = plotting.attention_figure(
        [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], ["▁a", "</s>"], ["x$y", "z", "</s>"], "5 $"
    )
    assert figure.get_suptitle() == r"5 \$"
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["▁a", "</s>"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [r"x\$y", "z", "</s>"]


def test_files_are_png_even_without_data_or_glyphs(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    plotting.plot_curves([], tmp_path / "curves.png")
    plotting.plot_attention([[1.0]], ["ありがとう"], ["शुक्रिया"], tmp_path / "attention.png")
    for name in ("curves.png", "attention.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2
    assert not recwarn.list


RARE = "\U0010abcd"
"""Of a private use area: no font that is installed anywhere has it."""


@pytest.fixture
def rare_font(tmp_path: Path) -> Iterator[None]:
    """Installs a font that has no character but this one, and basic Latin's "a"."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder, names = FontBuilder(1000, isTTF=True), [".notdef", "rare", "a"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(RARE): "rare", ord("a"): "a"})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Rare - one", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "rare.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "rare.ttf")
    yield
    fontManager.ttflist[:] = before


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    fonts._covered.cache_clear()
    fonts._report_missing.cache_clear()


def maps_of(piece: str, path: Path) -> list[Path]:
    """A picture of each kind that has labels of text."""
    plotting.plot_attention([[1.0]], [piece], ["x"], path / "text.png", title=piece)
    plotting.plot_image_attention(np.zeros((4, 4, 3)), [piece], [np.ones((2, 2))], path / "image.png")
    plotting.plot_sequence_attention(np.zeros((4, 2)), [piece], np.ones((1, 4)), path / "sequence.png")
    return sorted(path.glob("*.png"))


@pytest.mark.filterwarnings("error")
def test_a_font_is_chosen_that_has_the_characters(
    rare_font: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(maps_of(RARE, tmp_path)) == 3  # matplotlib would warn of a glyph that it cannot draw
    assert not caplog.records
    figure = plotting.attention_figure([[1.0]], [RARE], ["a"])
    (label,) = figure.axes[0].get_xticklabels()
    assert (label.get_text(), label.get_fontfamily()[-1]) == (RARE, "Rare - one")
    assert figure.get_supxlabel() == ""


@pytest.mark.filterwarnings("error")
def test_characters_that_no_font_has_become_code_points(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(maps_of(f"▁a{RARE}", tmp_path)) == 3
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "no installed font has some characters of the pictures' labels"
    ]
    figure = plotting.attention_figure([[1.0]], [f"▁a{RARE}"], ["a"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["▁aU+10ABCD"]
    assert figure.get_supxlabel() == "U+…: a character that no installed font has"


@pytest.mark.filterwarnings("error")
def test_pictures_of_long_outputs_can_be_read(tmp_path: Path) -> None:
    """On a screen, and without labels that overlap."""
    from matplotlib.image import imread

    words = [f"▁word{number}" for number in range(700)]
    weights = np.eye(700)
    plotting.plot_attention(weights, words, words, tmp_path / "text.png")
    plotting.plot_image_attention(np.zeros((4, 4, 3)), words, [np.ones((2, 2))] * 700, tmp_path / "image.png")
    plotting.plot_sequence_attention(np.zeros((900, 3)), words, weights, tmp_path / "sequence.png")
    plotting.plot_frames({"frames": np.zeros((400, 4, 4))}, tmp_path / "frames.png")
    for path in tmp_path.glob("*.png"):
        assert max(imread(path).shape[:2]) <= 1_760, path
    axes = drawn(plotting.attention_figure(weights, words, words)).axes[0]
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(rows) > 50
    assert all(below.y1 < above.y0 for above, below in pairwise(rows))
    assert axes.images[0].get_array().shape == (700, 700)  # labels are left out, weights are not


def test_a_long_piece_is_cut(tmp_path: Path) -> None:
    axes = plotting.attention_figure([[1.0]], ["a" * 500], ["b"]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a" * 23 + "…"]


def drawn(figure: "Figure") -> Any:
    """The figure, laid out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    return figure


def test_a_failed_write_leaves_the_old_picture_alone(tmp_path: Path) -> None:
    path = tmp_path / "attention.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="nonsense"):
        plotting._save(_unparsable(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _unparsable() -> "Figure":
    figure = plotting.curves_figure(RECORDS)
    figure.suptitle(r"$\nonsense$")
    return figure


def test_no_two_of_many_lines_look_alike() -> None:
    lines = {f"line {number}": [(0.0, number), (1.0, number + 0.5)] for number in range(12)}
    (axes,) = plotting.lines_figure(lines, "x", "y").axes
    drawn = {line.get_label(): [tuple(each) for each in line.get_xydata().tolist()] for line in axes.lines}
    assert drawn == lines
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 12


def test_without_matplotlib_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.evaluation.fonts.find_spec", lambda _: None)
    for draw in (
        lambda path: plotting.plot_lines({"a": [(0, 1)]}, path, "x", "y"),
        lambda path: plotting.plot_attention([[1.0]], ["a"], ["b"], path),
        lambda path: plotting.plot_image_attention(np.zeros((2, 2, 3)), ["a"], [np.zeros((1, 1))], path),
    ):
        with pytest.raises(UserError, match="drawing needs matplotlib"):
            draw(tmp_path / "a.png")
