"""Image captions: a small CNN, a BiLSTM over its feature map and an attention decoder describe drawn shapes.

python recipes/captions_shapes.py [--output DIR] [--quick] [--any.config.field VALUE]

Scenes hold one or two shapes of a colour and a size, drawn with Pillow; each has five captions from the recipe's own
grammar. The test scenes hold combinations of shape, colour and size that no training scene shows. After Vinyals et al.
(2015) and Xu et al. (2015). Attention maps of some test images, word by word, are written below the run directory.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seq2seq import plotting, recipe
from seq2seq.batching import BatchingConfig
from seq2seq.caption_metrics import caption_scores
from seq2seq.decoder import DecoderConfig
from seq2seq.encoder import EncoderConfig
from seq2seq.frontends import FrontEndConfig
from seq2seq.generator import GeneratorConfig
from seq2seq.schedule import OptimizerConfig
from seq2seq.search import SearchConfig
from seq2seq.trainer import TrainerConfig
from seq2seq.training import Captioned, GeneratorTask, train_generator

PIXELS = 48
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 205, 40),
    "purple": (150, 60, 180),
    "grey": (130, 130, 130),
}
SHAPES = ("circle", "square", "triangle", "diamond")
SIZES = {"small": 5, "large": 10}
RELATIONS = {
    (1, 0): ("to the right of", "right of"),
    (-1, 0): ("to the left of", "left of"),
    (0, 1): ("below", "under"),
    (0, -1): ("above", "over"),
}

Thing = tuple[str, str, str]
"""Size, colour, shape."""

THINGS = list(itertools.product(SIZES, COLOURS, SHAPES))
HELD_OUT = THINGS[3::7]
"""Things that only the test scenes show."""


@dataclass(frozen=True)
class Config(GeneratorTask):
    """Choices of this recipe."""

    training_scenes: int = 6_000
    """Scenes to train on, with five captions each."""
    held_out_scenes: int = 300
    """Scenes to choose the best model on, and as many to test on."""


CONFIG = Config(
    model=GeneratorConfig(
        FrontEndConfig("image", input_size=3, height=PIXELS, width=PIXELS, blocks=3),
        embedding_size=128,
        dropout=0.1,
        encoder=EncoderConfig(hidden_size=96),
        decoder=DecoderConfig(hidden_size=192, layers=2, coupling="bottom_up"),
    ),
    batching=BatchingConfig(max_tokens_per_batch=1_800),
    optimizer=OptimizerConfig(learning_rate=0.003, warmup_steps=100),
    trainer=TrainerConfig(epochs=3, average_decay=0.99),
    search=SearchConfig(max_length=24),
)


def scenes(count: int, things: list[Thing], seed: int, needed: list[Thing] | None = None) -> Captioned:
    """Drawn scenes, [3, PIXELS, PIXELS] float32 in [0, 1], with five captions each. needed: every scene shows one of
    them."""
    random = np.random.default_rng(seed)
    inputs, references = [], []
    for _ in range(count):
        first = pick(random, needed or things)
        if random.random() < 0.25:
            place = tuple(random.integers(12, PIXELS - 12, 2).tolist())
            inputs.append(draw([(first, place)], random))
            references.append(captions_of_one(first))
            continue
        second = pick(random, [thing for thing in things if thing != first])
        step = list(RELATIONS)[random.integers(len(RELATIONS))]
        middle = PIXELS // 2 + random.integers(-4, 5, 2)
        places = [tuple((middle + sign * 12 * np.array(step)).tolist()) for sign in (1, -1)]
        inputs.append(draw(list(zip((first, second), places, strict=True)), random))
        references.append(captions_of_two(first, second, step))
    return Captioned(inputs, references)


def pick(random: np.random.Generator, things: list[Thing]) -> Thing:
    """One of them, all alike likely."""
    return things[random.integers(len(things))]


def draw(placed: list[tuple[Thing, tuple[int, ...]]], random: np.random.Generator) -> np.ndarray:
    """The picture of things at the middles of their places, on a pale, slightly noisy ground."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (PIXELS, PIXELS), tuple(random.integers(225, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for (size, colour, shape), (x, y) in placed:
        r = SIZES[size]
        fill = tuple(int(np.clip(part + random.integers(-15, 16), 0, 255)) for part in COLOURS[colour])
        outlines = {
            "triangle": [(x, y - r), (x - r, y + r), (x + r, y + r)],
            "diamond": [(x, y - r), (x + r, y), (x, y + r), (x - r, y)],
            "square": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        }
        if shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        else:
            pen.polygon(outlines[shape], fill=fill)
    pixels = np.asarray(image, np.float32) / 255 + random.normal(0, 0.02, (PIXELS, PIXELS, 3))
    return np.ascontiguousarray(pixels.clip(0, 1).transpose(2, 0, 1), np.float32)


def captions_of_one(thing: Thing) -> list[str]:
    """Five ways to say what is there."""
    name = " ".join(thing)
    size, colour, shape = thing
    return [
        f"a {name}",
        f"there is a {name}",
        f"the picture shows a {name}",
        f"a {size} {shape} that is {colour}",
        f"one {name} and nothing else",
    ]


def captions_of_two(first: Thing, second: Thing, step: tuple[int, int]) -> list[str]:
    """Five ways to say where the first is as seen from the second."""
    one, other = " ".join(first), " ".join(second)
    long, short = RELATIONS[step]
    opposite = RELATIONS[(-step[0], -step[1])][0]
    return [
        f"a {one} {long} a {other}",
        f"a {one} is {long} a {other}",
        f"there is a {one} {short} a {other}",
        f"a {other} {opposite} a {one}",
        f"the picture shows a {one} {short} a {other}",
    ]


def main(config: Config) -> None:
    """Trains, prints the scores on unseen combinations, and draws where each word looked."""
    known = [thing for thing in THINGS if thing not in HELD_OUT]
    count = config.count(config.held_out_scenes, quick=16)
    training = scenes(config.count(config.training_scenes), known, seed=1)
    generator = train_generator(config, training, scenes(count, known, seed=2))
    test = scenes(count, THINGS, seed=3, needed=HELD_OUT)
    captions = generator.generate(test.inputs)
    print(caption_scores(captions, test.references).describe())
    for number, (image, caption) in enumerate(zip(test.inputs[: config.count(6, quick=1)], captions, strict=False), 1):
        words, weights = generator.attention(image, generator.vocabulary.encode(caption))
        cells = PIXELS // 2**config.model.front_end.blocks
        maps = [np.reshape(row, (cells, cells)) for row in weights]
        path = Path(config.output) / "attention" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        plotting.plot_image_attention(image.transpose(1, 2, 0), [word.strip("▁") for word in words], maps, path)
        print(f"{path}\t{caption}")


if __name__ == "__main__":
    recipe.run_task(CONFIG, main)
