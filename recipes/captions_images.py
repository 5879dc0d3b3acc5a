"""Image captions from any data set of images: a folder with a list of captions, or a Hub id.

python recipes/captions_images.py [--data DIR_OR_HUB_ID] [--backbone MODEL] [--attention false] [--output DIR] [--quick]

DIR holds images, and lists of captions, captions.tsv or metadata.csv or .jsonl with the columns file_name and caption,
a line per caption; those below folders train, validation and test are of that split, else a tenth is held out. In place
of images, there may be folders of frames or .npy arrays of features [steps, numbers]. With --backbone the model reads
the feature maps of a pretrained network, a Hub id such as microsoft/resnet-18 or a folder, computed once and kept below
the run directory; without, a small convolutional net learns from the pixels. For Flickr8k: --data jxie/flickr8k
--backbone microsoft/resnet-18. Without --data the generated scenes of captions_shapes.py are written to disk as such a
folder first; half of its test images show a combination of colour and shape that no training image shows.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from captions_shapes import CONFIG as SHAPES
from generated.scenes import HELD_OUT, KNOWN, THINGS, scenes

TESTS = ("seen", "unseen")
"""What the names of generated test images begin with."""


@dataclass(frozen=True)
class Config(seq2seq.CaptionTask):
    """Choices of this script."""


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

    train, validation, test = (64, 16, 8) if quick else (4_000, 200, 150)
    made = {
        ("train", ""): scenes(train, KNOWN, 1),
        ("validation", ""): scenes(validation, KNOWN, 2),
        ("test", TESTS[0]): scenes(test, KNOWN, 3),
        ("test", TESTS[1]): scenes(test, THINGS, 4, HELD_OUT),
    }
    lines: dict[str, list[str]] = {}
    pictures = {}
    for (split, begin), drawn in made.items():
        for number, (image, captions) in enumerate(zip(drawn.inputs, drawn.references, strict=True)):
            name = f"{begin}{number:05}.png"
            pictures[folder / split / name] = image
            lines.setdefault(split, []).append(json.dumps({"file_name": name, CONFIG.captions: captions}) + "\n")
    for path in pictures:
        ours = (path.parent / "metadata.jsonl").exists() or not path.exists()
        seq2seq.check(ours, f"{path}: not made by this recipe, and no list beside it; choose another --output")
    for split, rows in lines.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        seq2seq.write_once(folder / split / "metadata.jsonl", "".join(rows))
    for path, image in pictures.items():
        Image.fromarray((image.transpose(1, 2, 0) * 255).round().astype(np.uint8)).save(path)


def prepare(config: Config) -> Config:
    """Where no data is given, generates it below the run directory; returns the configuration for it."""
    if config.data:
        return config
    folder = Path(config.output) / "data"
    write_shapes(folder, config.quick)
    return replace(config, data=str(folder), image=CONFIG.image, captions=CONFIG.captions)


def main(config: Config) -> None:
    """Trains, prints the scores on the test split, and draws where each word looked."""
    ready, parts = seq2seq.read_captioned(config)
    generator = seq2seq.train_generator(ready, parts.training, parts.validation)
    seq2seq.end_other_processes()
    captions, output = generator.generate(parts.test.inputs), Path(config.output)
    names = [next((name for name in TESTS if row.name.startswith(name)), "test") for row in parts.rows]
    generated = Path(config.data) == output / "data"
    for group in TESTS if generated else ("test",):
        rows = [row for row, name in enumerate(names) if name == group or not generated]
        of_group = [captions[row] for row in rows], [parts.test.references[row] for row in rows]
        print(f"{group:<7} {seq2seq.caption_scores(*of_group).describe()}")
    shown = [row for row in parts.rows if row.picture][-config.count(6, quick=1) :]
    drawn = seq2seq.draw_image_attention(
        generator, [row.values for row in shown], [row.picture() for row in shown if row.picture], output
    )
    for path, caption in drawn.items():
        print(f"{path}\t{caption}")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main, prepare=prepare)
