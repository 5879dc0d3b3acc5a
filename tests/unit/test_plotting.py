"""Pictures hold the data they are given."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seq2seq import plotting

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
