"""Pictures with captions out of Hugging Face data sets, and what a model reads of them: pixels, or the feature maps of
a pretrained network (transformers, an extra)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from seq2seq.data.loading import digest, open_any
from seq2seq.errors import UserError, check, check_argument
from seq2seq.runtime.pictures import as_rgb

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

Array = np.ndarray


Encode = Callable[[Sequence[Any]], Array]
"""Pillow images of one mode -> float32 [B, ...], the same shape for every image."""

IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class CaptionedImages:
    """A split of a data set of images."""

    images: Dataset
    """With the one column `image`."""
    captions: list[list[str]]
    """One or several per image, as they stand in the data."""
    place: str
    """Data and split, for messages."""


def open_captioned(data: str, split: str, image: str = "image", captions: str = "caption") -> CaptionedImages:
    """A split of a Hub data set or of a local one, such as an image folder with metadata.jsonl.

    captions: the column of captions, texts or lists of texts; where there is none of that name, all columns whose name
    begins so hold one caption each (caption_0, caption_1, ...). Raises UserError naming what is missing.
    """
    wanted = (
        "a folder that holds one of images for each split (train, validation, test), each with a metadata.jsonl or "
        f"metadata.csv that has the columns file_name and {captions}"
    )
    dataset = open_any(data, split, wanted)
    place = f"{data}, split {split}"
    known = ", ".join(dataset.column_names)
    check(len(dataset) > 0, f"{place}: holds no image")
    check(image in dataset.column_names, f"{place}: no column '{image}'; the columns are {known}; give {wanted}")
    exact = [name for name in dataset.column_names if name == captions]
    names = exact or sorted(name for name in dataset.column_names if name.startswith(captions))
    check(bool(names), f"{place}: no column that begins with '{captions}'; the columns are {known}; give {wanted}")
    lines = [_texts(row, place, number) for number, row in enumerate(dataset.select_columns(names), 1)]
    return CaptionedImages(dataset.select_columns([image]).rename_columns({image: "image"}), lines, place)


def _texts(row: dict[str, Any], place: str, number: int) -> list[str]:
    values = [text for value in row.values() for text in (value if isinstance(value, list) else [value])]
    texts = [text for text in values if isinstance(text, str) and text.strip()]
    check(bool(texts), f"{place}: row {number} has no caption")
    return texts


def pixels(size: int) -> Encode:
    """Images as [B, 3, size, size] in [0, 1]."""

    def encode(images: Sequence[Any]) -> Array:
        resized = [np.asarray(image.resize((size, size)), np.float32) / 255 for image in images]
        return np.stack(resized).transpose(0, 3, 1, 2)

    return encode


def backbone(name: str) -> Encode:
    """Images as the feature maps [B, S, C] of a pretrained network: a model id of the Hub, such as microsoft/resnet-18,
    or a folder. Convolutional maps are read row by row."""
    check_argument("backbone", "name", name, str)
    try:
        from transformers import AutoImageProcessor, AutoModel
    except ImportError:
        raise UserError("a backbone needs transformers: pip install 'seq2seq[images]'") from None
    try:
        # Said outright, or a terminal is asked whether to run code that a model brings.
        model = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False).eval()
        processor = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # the library raises many unrelated types
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(f"{name}: cannot be loaded as an image model ({reason})") from None

    @torch.inference_mode()
    def encode(images: Sequence[Any]) -> Array:
        states = model(processor(list(images), return_tensors="pt")["pixel_values"]).last_hidden_state
        return (states.flatten(2).transpose(1, 2) if states.dim() == 4 else states).float().numpy()

    return encode


def encode_images(data: CaptionedImages, encode: Encode, name: str, cache: Path) -> Array:
    """All images of a split as a memory-mapped array [n, ...] float32, computed once and kept in the folder `cache`.

    name: of the encoding, part of the file's name. Raises UserError naming the row of an image that cannot be read.
    """
    check_argument("encode_images", "data", data, CaptionedImages)
    path = cache / f"{digest(data.images._fingerprint, name)}.npy"
    return stored_rows(path, len(data.images), lambda rows: encode([_image(data, row) for row in rows]))


def stored_rows(path: Path, count: int, make: Callable[[range], Array]) -> Array:
    """The memory-mapped array [count, ...] float32 at `path`; where there is none yet, it is put there, of what `make`
    gives for some rows at a time."""
    if path.exists():
        try:
            return np.load(path, mmap_mode="r")
        except (ValueError, OSError, EOFError) as error:
            log.warning("%s is damaged (%s): the images are encoded again", path, error)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    stored: np.memmap[Any, Any] | None = None
    try:
        for start in tqdm(range(0, count, IMAGES_AT_ONCE), desc="images", unit="batch", disable=None):
            encoded = make(range(start, min(start + IMAGES_AT_ONCE, count)))
            if stored is None:
                shape = (count, *encoded.shape[1:])
                stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            stored[start : start + len(encoded)] = encoded
        assert stored is not None
        stored.flush()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _image(data: CaptionedImages, row: int) -> Any:
    try:
        return as_rgb(data.images[row]["image"])
    except Exception as error:  # Pillow's decoders raise many unrelated types
        reason = str(error).split("\n")[0][:200]
        raise UserError(f"{data.place}: the image of row {row + 1} cannot be read ({reason})") from None
