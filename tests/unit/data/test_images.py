"""Captioned images from a folder, their features and the cache."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seq2seq.data.images import encode_images, open_captioned, pixels
from seq2seq.errors import UserError


def image_folder(folder: Path, rows: list[dict[str, object]]) -> Path:
    split = folder / "train"
    split.mkdir(parents=True)
    for number, row in enumerate(rows):
        Image.new("RGB", (12, 8), (10 * number, 100, 200)).save(split / f"{number}.png")
        row["file_name"] = f"{number}.png"
    (split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_captions_come_from_one_column_or_several(tmp_path: Path) -> None:
    lists = image_folder(tmp_path / "lists", [{"caption": ["a", "b"]}, {"caption": ["c"]}])
    several = image_folder(tmp_path / "several", [{"caption_0": "a", "caption_1": "b"}, {"caption_0": "c"}])
    for folder in (lists, several):
        assert open_captioned(str(folder), "train").captions == [["a", "b"], ["c"]]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = str(image_folder(tmp_path / "data", [{"caption": ["a"]}, {"caption": [" "]}]))
    with pytest.raises(UserError, match="row 2 has no caption"):
        open_captioned(folder, "train")
    with pytest.raises(UserError, match="no column 'photo'"):
        open_captioned(folder, "train", image="photo")
    with pytest.raises(UserError, match="begins with 'title'"):
        open_captioned(folder, "train", captions="title")
    with pytest.raises(UserError, match="no such folder"):
        open_captioned(str(tmp_path / "nowhere"), "train")


def test_pixels_are_encoded_once(tmp_path: Path) -> None:
    data = open_captioned(str(image_folder(tmp_path / "data", [{"caption": ["a"]}] * 3)), "train")
    calls = []

    def encode(images: list[Image.Image]) -> np.ndarray:
        calls.append(len(images))
        return pixels(4)(images)

    first = np.array(encode_images(data, encode, "pixels", tmp_path / "cache"))
    assert first.shape == (3, 3, 4, 4)
    np.testing.assert_allclose(first[2, :, 0, 0], np.array([20, 100, 200]) / 255, atol=1e-6)
    again = encode_images(data, encode, "pixels", tmp_path / "cache")
    np.testing.assert_array_equal(first, again)
    assert calls == [3]
    encode_images(data, encode, "other", tmp_path / "cache")
    assert calls == [3, 3]
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:150])
    np.testing.assert_array_equal(first, encode_images(data, encode, "pixels", tmp_path / "cache"))
    assert calls == [3, 3, 3]


def test_a_broken_image_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "data", [{"caption": ["a"]}, {"caption": ["b"]}])
    (folder / "train" / "1.png").write_bytes(b"no image")
    data = open_captioned(str(folder), "train")
    with pytest.raises(UserError, match="row 2 cannot be read"):
        encode_images(data, pixels(4), "pixels", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
