"""Image captions from any data set of images: a Hub id, or a folder of images with captions in metadata.jsonl.

python recipes/captions_images.py [--data DIR_OR_HUB_ID] [--backbone MODEL] [--output DIR] [--quick]

With --backbone the model reads the feature maps of a pretrained network, a Hub id such as microsoft/resnet-18 or a
folder, computed once and kept below the run directory; without, a small convolutional net learns from the pixels. For
Flickr8k: --data jxie/flickr8k --backbone microsoft/resnet-18. Without --data the scenes of captions_shapes.py are
written to disk as such a folder first.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from captions_shapes import CONFIG as SHAPES
from generated.scenes import HELD_OUT, PIXELS, THINGS, scenes


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    data: str = ""
    """Hub id or folder with splits train, validation and test; empty: generated shapes."""
    image: str = "image"
    """Column of the images."""
    captions: str = "caption"
    """Column of the captions, or what the names of several such columns begin with."""
    backbone: str = ""
    """Pretrained network that the images are read through; empty: none."""
    pixels: int = PIXELS
    """Edge that images are resized to where there is no backbone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", pixels=seq2seq.Whole(1, 10_000))


CONFIG = Config(
    model=SHAPES.model,
    batching=SHAPES.batching,
    optimizer=SHAPES.optimizer,
    trainer=seq2seq.TrainerConfig(epochs=4, average_decay=0.99),
    search=seq2seq.SearchConfig(max_length=32),
)


def write_shapes(folder: Path, quick: bool) -> None:
    """The scenes of `generated.scenes` as a folder of images per split, in this recipe's own columns."""
    from PIL import Image

    known = [thing for thing in THINGS if thing not in HELD_OUT]
    sizes = {"train": 64, "validation": 16, "test": 16} if quick else {"train": 4_000, "validation": 200, "test": 300}
    for seed, (split, count) in enumerate(sizes.items(), 1):
        made = scenes(count, THINGS, seed, HELD_OUT) if split == "test" else scenes(count, known, seed)
        (folder / split).mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (image, captions) in enumerate(zip(made.inputs, made.references, strict=True)):
            levels = (image.transpose(1, 2, 0) * 255).round().astype(np.uint8)
            Image.fromarray(levels).save(folder / split / f"{number:05}.png")
            lines.append(json.dumps({"file_name": f"{number:05}.png", CONFIG.captions: captions}) + "\n")
        (folder / split / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")


def prepare(config: Config) -> Config:
    """Where no data is given, generates it below the run directory; returns the configuration for it."""
    if config.data:
        return config
    folder = Path(config.output) / "data"
    write_shapes(folder, config.quick)
    return replace(config, data=str(folder), image=CONFIG.image, captions=CONFIG.captions)


def spoken(caption: str) -> str:
    """A caption as the field scores it: small letters, words and numbers only."""
    return " ".join(re.findall(r"[\w']+", caption.lower()))


def main(config: Config) -> None:
    """Trains, prints the scores on the test split, and draws where each word looked."""
    output = Path(config.output)
    encode = seq2seq.backbone(config.backbone) if config.backbone else seq2seq.pixels(config.pixels)
    name = config.backbone or f"pixels {config.pixels}"

    def read(split: str) -> tuple[seq2seq.CaptionedImages, seq2seq.Captioned]:
        opened = seq2seq.open_captioned(config.data, split, config.image, config.captions)
        features = seq2seq.encode_images(opened, encode, name, output / "features")
        return opened, seq2seq.Captioned(
            list(features), [[spoken(text) for text in texts] for texts in opened.captions]
        )

    (_, training), (_, validation), (images, test) = (read(split) for split in ("train", "validation", "test"))
    shape = training.inputs[0].shape
    front_end = seq2seq.FrontEndConfig("features", shape[-1], normalise=True)
    if not config.backbone:
        front_end = seq2seq.FrontEndConfig("image", 3, height=shape[1], width=shape[2])
    model = replace(config.model, front_end=front_end)
    config = replace(config, model=model, reader=seq2seq.ReaderConfig("image", backbone=config.backbone))
    generator = seq2seq.train_generator(config, training, validation)
    seq2seq.end_other_processes()
    captions = generator.generate(test.inputs)
    print(seq2seq.caption_scores(captions, test.references).describe())
    if not seq2seq.attends(generator.model):
        return
    (output / "attention").mkdir(exist_ok=True)
    for number, caption in enumerate(captions[: config.count(6, quick=1)]):
        words, weights = generator.attention(test.inputs[number], generator.vocabulary.encode(caption))
        side = round(len(weights[0]) ** 0.5)
        maps = [np.reshape(row[-side * side :], (side, side)) for row in weights]  # a ViT's first state is no place
        picture = np.asarray(images.images[number]["image"].convert("RGB"))
        path = output / "attention" / f"{number + 1}.png"
        seq2seq.plot_image_attention(picture, [word.strip("▁") for word in words], maps, path)
        print(f"{path}\t{caption}")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main, prepare=prepare)
