"""Drawn scenes of one or two shapes with captions: generated data for recipes on images. Drawing needs Pillow, an
extra."""

import itertools

import numpy as np

import seq2seq

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
UNSEEN = {("red", "diamond"), ("blue", "square"), ("yellow", "circle"), ("grey", "triangle")}
"""Combinations of colour and shape that no training scene shows."""
HELD_OUT = [thing for thing in THINGS if thing[1:] in UNSEEN]
KNOWN = [thing for thing in THINGS if thing[1:] not in UNSEEN]
"""Things that training scenes show."""


def scenes(count: int, things: list[Thing], seed: int, needed: list[Thing] | None = None) -> seq2seq.Captioned:
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
    return seq2seq.Captioned(inputs, references)


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
