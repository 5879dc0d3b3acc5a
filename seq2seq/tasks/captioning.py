"""Captions of pictures, frames and features of one's own: what the recipes of that task have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from seq2seq.config import Whole, check_numbers
from seq2seq.data.captioned import CaptionedFile, find_captioned
from seq2seq.data.images import backbone, encode_images, open_captioned, pixels, stored_rows
from seq2seq.data.labelled_texts import three_parts
from seq2seq.data.loading import digest
from seq2seq.data.readers import ReaderConfig, read_array, read_frames, read_image
from seq2seq.data.split_files import splits_among
from seq2seq.errors import UserError, check, check_argument
from seq2seq.evaluation import plotting
from seq2seq.evaluation.caption_metrics import caption_words
from seq2seq.inference.decoding import attends
from seq2seq.inference.inputs import read_input
from seq2seq.inference.transcriber import Generator
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.runs.layout import ATTENTION_FOLDER
from seq2seq.tasks.base import scratch_output
from seq2seq.tasks.configs import GeneratorTask
from seq2seq.tasks.transcription import Captioned

Array = np.ndarray
Kind = Literal["image", "frames", "array"]
LEAST = 20
"""Files of which a tenth can be held out for the test."""


@dataclass(frozen=True)
class CaptionTask(GeneratorTask):
    """Training of a model that describes pictures, frames or arrays of features."""

    data: str = ""
    """Folder of pictures, of folders of frames, or of .npy files [steps, numbers], with captions.tsv, metadata.csv or
    the like (columns file_name and caption, a line per caption); or Hub id of pictures; empty: generated ones."""
    image: str = "image"
    """Column of the pictures of a Hub id."""
    captions: str = "caption"
    """Column of the captions, or what the names of several such columns begin with."""
    backbone: str = ""
    """Pretrained network that pictures are read through; empty: none."""
    pixels: int = 48
    """Edge that pictures without a backbone, and frames, are resized to."""
    attention: bool = True
    """Whether each word looks at the places of the input (Xu et al. 2015); false: the decoder reads the input's summary
    once, before the first word (Vinyals et al. 2015)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", pixels=Whole(1, 10_000))

    def decoder_chosen(self) -> CaptionTask:
        """The same with the decoder that `attention` asks for."""
        if self.attention:
            return self
        decoder = replace(self.model.decoder, attention="none", coupling="none", bridge="first_input")
        return replace(self, model=replace(self.model, decoder=decoder))


class CaptionedRow(NamedTuple):
    """An input with its captions."""

    values: Array
    """As the model reads it."""
    captions: list[str]
    name: str
    """Of its file; empty in a data set."""
    picture: Callable[[], Any] | None
    """Loads the picture, where it is one."""


class CaptionedParts(NamedTuple):
    """What to train on, to choose the best model on, and to test on."""

    training: Captioned
    validation: Captioned
    test: Captioned
    rows: list[CaptionedRow]
    """Those of the test."""


def read_captioned(config: CaptionTask) -> tuple[CaptionTask, CaptionedParts]:
    """The configuration with the front end and the reader for the data that config.data names, and that data. Where
    there is no split but train, a tenth of the files is for the test. Raises UserError naming list and line of what
    cannot be read."""
    check_argument("read_captioned", "config", config, CaptionTask)
    # A network's features take long: also a dry run keeps them.
    with nullcontext(config) if config.backbone else scratch_output(config, "features") as asked:
        chosen, parts = _read_captioned(asked)
    return replace(chosen, output=config.output), parts


def _read_captioned(config: CaptionTask) -> tuple[CaptionTask, CaptionedParts]:
    check(bool(config.data), "give --data DIR_OR_HUB_ID: files with captions.tsv, metadata.csv or the like")
    files = find_captioned(config.data, config.captions)
    kind: Kind = _kind(files) if files else "image"
    splits = _of_files(config, files, kind) if files else _of_data_set(config)
    enough = "train" in splits and (len(splits) > 1 or len(splits["train"]) >= LEAST)
    check(enough, f"{config.data}: needs folders train and test of files, or {LEAST} files with captions")
    if len(splits) == 1:
        splits["test"] = splits["train"][::10]
        splits["train"] = [row for number, row in enumerate(splits["train"]) if number % 10]
    parts = three_parts(splits, config.trainer.seed, 64 if config.quick else 10**9)
    check(bool(parts[1]), f"{config.data}: has too few files to hold any out; add a folder validation")
    shape = parts[0][0].values.shape
    front_end = FrontEndConfig("features", shape[-1], normalise=kind != "frames")
    if kind == "image" and not config.backbone:
        front_end = FrontEndConfig("image", 3, height=shape[1], width=shape[2], blocks=config.model.front_end.blocks)
    reader = ReaderConfig(kind, pixels=config.pixels if kind == "frames" else 0, backbone=config.backbone)
    model = replace(config.model, front_end=front_end)
    chosen = replace(config, model=model, reader=reader).decoder_chosen()
    training, validation, test = (_captioned(part) for part in parts)
    return chosen, CaptionedParts(training, validation, test, parts[2])


def _captioned(rows: Sequence[CaptionedRow]) -> Captioned:
    return Captioned([row.values for row in rows], [row.captions for row in rows])


def _kind(files: Sequence[CaptionedFile]) -> Kind:
    """Of reader, which must be the same of all files."""

    def of(file: CaptionedFile) -> Kind:
        return "frames" if file.path.is_dir() else "array" if file.path.suffix.lower() == ".npy" else "image"

    first = of(files[0])
    other = next((file for file in files if of(file) != first), None)
    check(
        other is None,
        f"{other and other.place}: {other and other.name} is of another kind than {files[0].name}; give pictures, "
        "folders of frames, or .npy files alone",
    )
    return first


def _of_files(config: CaptionTask, files: Sequence[CaptionedFile], kind: str) -> dict[str, list[CaptionedRow]]:
    """Rows of each split."""
    check(
        kind == "image" or not config.backbone,
        "--backbone reads single pictures; give --data of arrays, such as features of frames computed beforehand",
    )
    values = _pictures(config, files) if kind == "image" else _arrays(config, files, kind)
    splits: dict[str, list[CaptionedRow]] = {}
    for file, each in zip(files, values, strict=True):
        picture = partial(read_image, file.path) if kind == "image" else None
        row = CaptionedRow(each, _words(file.captions, file.place), file.name, picture)
        splits.setdefault(file.split, []).append(row)
    return splits


def _words(captions: Sequence[str], place: str) -> list[str]:
    """Captions as the field scores them."""
    words = [caption_words(each) for each in captions]
    check(all(words), f"{place}: a caption has no word")
    return words


def _named(place: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` gives; a UserError begins with the place."""
    try:
        return read(*arguments)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def _pictures(config: CaptionTask, files: Sequence[CaptionedFile]) -> list[Array]:
    """Pixels or feature maps, computed once."""
    encode = backbone(config.backbone) if config.backbone else pixels(config.pixels)
    stamps = [(str(file.path), file.path.stat().st_size, file.path.stat().st_mtime_ns) for file in files]
    path = Path(config.output) / "features" / f"{digest(stamps, config.backbone, config.pixels)}.npy"

    def make(rows: range) -> Array:
        return encode([_named(files[row].place, read_image, files[row].path) for row in rows])

    return list(stored_rows(path, len(files), make))


def _arrays(config: CaptionTask, files: Sequence[CaptionedFile], kind: str) -> list[Array]:
    """Frames or features [steps, numbers], as many numbers in all."""
    found: list[Array] = []
    for file in files:
        reading = (read_frames, file.path, config.pixels) if kind == "frames" else (read_array, file.path)
        given = _named(file.place, *reading)
        sizes = f"{file.place}: {file.path} is an array {list(given.shape)}"
        check(given.ndim == 2, f"{sizes}; give arrays of two dimensions, [steps, numbers], a row per place or frame")
        form = FrontEndConfig("features", max(1, given.shape[1])).form()
        values = _named(file.place, read_input, form, given, str(file.path))
        width = found[0].shape[1] if found else values.shape[1]
        check(values.shape[1] == width, f"{sizes}; but {files[0].name} has {width} numbers per step")
        found.append(values)
    return found


def _of_data_set(config: CaptionTask) -> dict[str, list[CaptionedRow]]:
    """Rows of each split of a data set that `datasets` loads."""
    encode = backbone(config.backbone) if config.backbone else pixels(config.pixels)
    name = config.backbone or f"pixels {config.pixels}"
    opened = open_captioned(config.data, "train", config.image, config.captions)
    known: Mapping[str, Any] = opened.images.info.splits or {}
    splits = {}
    for split, there in splits_among(known):
        opened = opened if split == "train" else open_captioned(config.data, there, config.image, config.captions)
        values = encode_images(opened, encode, name, Path(config.output) / "features")
        splits[split] = [
            CaptionedRow(
                values[row],
                _words(texts, f"{opened.place}, row {row + 1}"),
                "",
                partial(_picture_of, opened.images, row),
            )
            for row, texts in enumerate(opened.captions)
        ]
    return splits


def _picture_of(images: Any, row: int) -> Any:
    return images[row]["image"].convert("RGB")


def draw_image_attention(
    generator: Generator, inputs: Sequence[Any], pictures: Sequence[Any], directory: Path, count: int = 6
) -> dict[Path, str]:
    """Writes attention/NUMBER.png of the first few pictures: where each word of its caption looked. Returns the caption
    of each file; nothing where the model has no attention, or matplotlib is not installed.

    pictures: what to show, Pillow images or [height, width, 3] in [0, 1]."""
    check_argument("draw_image_attention", "generator", generator, Generator)
    if not plotting.available() or not attends(generator.model):
        return {}
    folder = directory / ATTENTION_FOLDER
    folder.mkdir(exist_ok=True)
    captions = {}
    for number, (values, picture) in enumerate(zip(inputs[:count], pictures, strict=False), 1):
        (caption,) = generator.generate([values])
        words, weights = generator.attention(values, generator.vocabulary.encode(caption))
        side = round(len(weights[0]) ** 0.5)
        maps = [np.reshape(row[-side * side :], (side, side)) for row in weights]  # a ViT's first state is no place
        path = folder / f"{number}.png"
        plotting.plot_image_attention(np.asarray(picture), [word.strip("▁") for word in words], maps, path)
        captions[path] = caption
    return captions
