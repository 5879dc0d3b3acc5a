"""Captions of data of one's own: lists, pictures, folders of frames, arrays; and what is wrong, by file and line."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import captions_images
import captions_video
import numpy as np
import pytest
from generated.scenes import KNOWN, THINGS, UNSEEN
from PIL import Image

import seq2seq
from seq2seq.cli.exit_status import guarded
from seq2seq.cli.main import main
from seq2seq.data.captioned import find_captioned
from seq2seq.data.readers import read_frames
from seq2seq.errors import UserError

FILES = 20


def pictures(folder: Path) -> Path:
    """One for each caption, 8 x 8, in captions.tsv without a header; the first is named once more at the end."""
    folder.mkdir()
    for number in range(FILES):
        Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(folder / f"{number}.png")
    lines = [f"{number}.png\tA square, number {number}." for number in range(FILES)]
    (folder / "captions.tsv").write_text("\n".join([*lines, "0.png\tThe first one!"]) + "\n")
    return folder


def arrays(folder: Path) -> Path:
    """The same of features [3, 5], in metadata.csv."""
    folder.mkdir()
    for number in range(FILES):
        np.save(folder / f"{number}.npy", np.full((3, 5), number, np.float32))
    lines = [f'{number}.npy,"one, two"' for number in range(FILES)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,caption", *lines]) + "\n")
    return folder


def clips(folder: Path) -> Path:
    """The same of folders of two frames, by split, in JSON lines."""
    for split, count in {"train": 12, "dev": 3, "test": 3}.items():
        lines = []
        for number in range(count):
            (folder / split / str(number)).mkdir(parents=True)
            for frame in (2, 10):
                path = folder / split / str(number) / f"frame{frame}.png"
                Image.new("RGB", (8, 8), (20 * number, 20 * frame, 0)).save(path)
            lines.append(json.dumps({"file_name": str(number), "caption": [f"clip {number}", "a clip"]}))
        (folder / split / "captions.jsonl").write_text("\n".join(lines))
    return folder


def replaced(path: Path, number: int, line: str) -> None:
    """Another line in place of one, counted from 1."""
    lines = path.read_text().split("\n")
    lines[number - 1] = line
    path.write_text("\n".join(lines))


Break = Callable[[Path], object]
BROKEN: dict[str, tuple[Callable[[Path], Path], Break, str]] = {
    "missing": (pictures, lambda f: (f / "3.png").unlink(), r"captions\.tsv, line 4: no such file: .*3\.png"),
    "no picture": (
        pictures,
        lambda f: (f / "3.png").write_bytes(b"x"),
        r"tsv, line 4: .*3\.png: cannot be read as a picture",
    ),
    "three columns": (pictures, lambda f: replaced(f / "captions.tsv", 5, "4.png\ta\tb"), r"tsv, line 5: 3 columns"),
    "no caption": (
        pictures,
        lambda f: replaced(f / "captions.tsv", 5, "4.png\t "),
        r"tsv, line 5: has no text in capt",
    ),
    "no word": (
        pictures,
        lambda f: replaced(f / "captions.tsv", 5, "4.png\t..."),
        r"tsv, line 5: has no text in",
    ),
    "no name": (pictures, lambda f: replaced(f / "captions.tsv", 5, "\ta"), r"tsv, line 5: names no file in file_name"),
    "csv, three cells": (
        arrays,
        lambda f: replaced(f / "metadata.csv", 5, "3.npy,a,b"),
        r"csv, line 5: 3 columns, but",
    ),
    "csv, no caption": (
        arrays,
        lambda f: replaced(f / "metadata.csv", 1, "file_name,text"),
        r"csv, line 1: column 'caption' is missing",
    ),
    "one dimension": (
        arrays,
        lambda f: np.save(f / "3.npy", np.zeros(5)),
        r"csv, line 5: .*3\.npy is an array \[5\]; gi",
    ),
    "three dimensions": (arrays, lambda f: np.save(f / "3.npy", np.zeros((3, 5, 5))), r"csv, line 5: .*two dimensions"),
    "another width": (
        arrays,
        lambda f: np.save(f / "3.npy", np.zeros((3, 4))),
        r"line 5: .*but 0\.npy has 5 numbers per",
    ),
    "undefined": (arrays, lambda f: np.save(f / "3.npy", np.full((3, 5), np.nan)), r"line 5: .*infinite or undefined"),
    "pickled": (
        arrays,
        lambda f: np.save(f / "3.npy", np.array([{}, []], object), allow_pickle=True),
        r"csv, line 5: .*3\.npy: cannot be .*; it holds Python objects \(a pickle\)",
    ),
    "two kinds": (
        arrays,
        lambda f: (f / "3.npy").rename(f / "3.png") and replaced(f / "metadata.csv", 5, "3.png,a"),
        r"csv, line 5: 3\.png is of another kind than 0\.npy",
    ),
    "JSON cut off": (clips, lambda f: replaced(f / "dev" / "captions.jsonl", 2, "{"), r"jsonl, line 2: malformed JSON"),
    "JSON, a list": (
        clips,
        lambda f: replaced(f / "dev" / "captions.jsonl", 2, "[]"),
        r"jsonl, line 2: a row must be an",
    ),
    "no frame": (
        clips,
        lambda f: [path.unlink() for path in (f / "dev" / "1").iterdir()],
        r"jsonl, line 2: .*1: holds no frames",
    ),
    "a broken frame": (
        clips,
        lambda f: (f / "dev" / "1" / "frame2.png").write_bytes(b"x"),
        r"jsonl, line 2: .*frame2\.png: cannot be read as a picture",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_named_by_file_and_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, spoil, told = BROKEN[case]
    spoil(make(tmp_path / "data"))
    config = replace(captions_images.CONFIG, data=str(tmp_path / "data"), output=str(tmp_path / "run"), pixels=4)
    assert guarded("captions_images.py", lambda: captions_images.main(config)) == 2
    ended = capsys.readouterr().err
    assert re.search(told, ended), ended
    assert ended.count("\n") == 1
    assert not list(tmp_path.rglob("run/*.*"))


def test_pictures_are_read_with_all_their_captions(tmp_path: Path) -> None:
    config = replace(captions_images.CONFIG, data=str(pictures(tmp_path / "data")), output=str(tmp_path), pixels=4)
    ready, parts = seq2seq.read_captioned(config)
    assert ready.model.front_end.form().input_shape == (3, 4, 4)
    assert [len(each.inputs) for each in parts[:3]] == [17, 1, 2]
    first = next(row for row in parts.rows if row.name == "0.png")
    assert first.captions == ["a square number 0", "the first one"]
    held_out = {row.name: row for row in parts.rows}["10.png"]
    np.testing.assert_allclose(held_out.values[:, 0, 0], [100 / 255, 0, 0], atol=1e-6)
    (tmp_path / "data" / "captions.tsv").write_text("".join(f"{number}.png\ta\n" for number in range(4)))
    with pytest.raises(UserError, match="needs folders train and test of files, or 20 files with captions"):
        seq2seq.read_captioned(config)


def test_a_data_set_may_name_its_splits_as_text_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets import Dataset, Image

    # The rows hold paths, and of the same files at another path the cache would give those of an earlier test.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    files = sorted(pictures(tmp_path / "pictures").glob("*.png"))[:6]
    data, names = tmp_path / "data", {"train": range(4), "val": [4], "test": [5]}
    data.mkdir()
    for name, rows in names.items():
        made = {"image": [str(files[row]) for row in rows], "caption": [f"number {row}" for row in rows]}
        Dataset.from_dict(made).cast_column("image", Image()).to_parquet(str(data / f"{name}-0.parquet"))
    lines = [f"  - split: {name}\n    path: {name}-0.parquet\n" for name in names]
    (data / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{''.join(lines)}---\n")
    config = replace(captions_images.CONFIG, data=str(data), output=str(tmp_path), pixels=4)
    _, parts = seq2seq.read_captioned(config)
    assert len(parts.training.inputs) == 4, "nothing of it is held out"
    assert parts.validation.references == [["number 4"]]


def test_arrays_are_read_as_they_are_and_decoded_without_attention(tmp_path: Path) -> None:
    task = replace(captions_images.CONFIG, data=str(arrays(tmp_path / "data")), output=str(tmp_path), attention=False)
    ready, parts = seq2seq.read_captioned(task)
    assert (ready.reader.kind, ready.model.front_end.input_size) == ("array", 5)
    assert (ready.model.decoder.attention, ready.model.decoder.bridge) == ("none", "first_input")
    np.testing.assert_array_equal(parts.test.inputs[0], np.full((3, 5), int(parts.rows[0].name[:-4])))
    assert parts.test.references[0] == ["one two"]


def test_a_path_out_of_the_folder_is_of_its_lists_split(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data")
    (folder / "test").mkdir()
    (folder / "test" / "metadata.csv").write_text("file_name,caption_a,caption_b\n../1.png,again,\n")
    found = {each.name: each for each in find_captioned(str(folder))}
    assert len(found) == FILES + 1
    assert (found["../1.png"].split, found["../1.png"].captions) == ("test", ["again"])


@pytest.mark.slow
def test_folders_of_frames_are_captioned_predicted_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = clips(tmp_path / "data"), tmp_path / "run"
    small = replace(
        captions_video.CONFIG.model,
        embedding_size=8,
        encoder=seq2seq.EncoderConfig(8),
        decoder=seq2seq.DecoderConfig(8, 1, coupling="none"),
    )
    config = replace(captions_video.CONFIG, data=str(data), output=str(run), pixels=4, quick=True, model=small)
    captions_video.main(config)
    assert re.match(r"test +BLEU-1 \d", capsys.readouterr().out)
    frames = read_frames(data / "test" / "1", 4)
    assert frames.shape == (2, 48)
    np.testing.assert_allclose(frames[:, 1], [40 / 255, 200 / 255], atol=1e-6)  # frame 2 before frame 10
    model = seq2seq.load(run, kind="generator")
    assert main(["predict", str(run), str(data / "test" / "1")]) == 0
    assert capsys.readouterr().out == f"{data / 'test' / '1'}\t{model.generate([frames])[0]}\n"
    assert main(["evaluate", str(run), "--data", str(data), "--metrics", "bleu-4,cider,accuracy", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    written = model.generate([read_frames(data / "test" / str(number), 4) for number in range(3)])
    expected = seq2seq.caption_scores(written, [[f"clip {number}", "a clip"] for number in range(3)])
    assert (figures["BLEU-4"], figures["CIDEr"]) == (expected.bleu[3], expected.cider)
    assert main(["evaluate", str(run), "--data", str(data), "--split", "final"]) == 2
    assert "no split 'final'; by the folders of the files, the splits are test, train, valid" in capsys.readouterr().err


def test_combinations_of_the_tests_are_never_trained_on() -> None:
    """Each part of them is."""
    assert {thing[1:] for thing in THINGS} - {thing[1:] for thing in KNOWN} == UNSEEN
    for part in range(3):
        assert {thing[part] for thing in KNOWN} == {thing[part] for thing in THINGS}
    assert len(captions_video.UNSEEN) == 12
    assert {motion[0] for motion in captions_video.KNOWN} == {motion[0] for motion in captions_video.UNSEEN}
    assert {motion[1:] for motion in captions_video.KNOWN} == {motion[1:] for motion in captions_video.UNSEEN}
    _, motions = captions_video.clips(40, captions_video.KNOWN, seed=1)
    assert not set(motions) & set(captions_video.UNSEEN)
