"""Programs to what they print, read and written character by character (Zaremba & Sutskever 2014).

python recipes/learn_to_execute.py [--output DIR] [--quick] [--any.config.field VALUE]

Generated programs add, subtract, multiply, compare, repeat and name things, as the paper's do: numbers of 1 to 4 digits
(length), 1 to 3 operations (nesting). The same model is trained by each of the paper's curricula, on equally many
characters of programs: naive goes from short numbers to long ones, and does so again with each further operation; mix
draws both at random; combined goes by either of them, at random. The best model of each is chosen on the hardest kind.
The table, in table.csv too, has the accuracy per character by teacher forcing (each is predicted from the true ones
before it, the end does not count) and exact match. No program that is tested or chosen on occurs in training.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

LENGTHS = {1: "one digit", 2: "two digits", 3: "three digits", 4: "four digits"}
NESTINGS = (1, 2, 3)
CHARACTERS = seq2seq.Characters("\n()*+-0123456789:<=>abcdefghijklmnoprstux ")

Kind = tuple[int, int]
"""Digits of the numbers at most, number of operations."""
Program = tuple[str, str]
"""A program and what it prints."""

KINDS = [(length, nesting) for nesting in NESTINGS for length in LENGTHS]
"""In the order of the naive curriculum."""
HARDEST = KINDS[-1]


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    training_characters: int = 1_500_000
    """Characters of the programs of an epoch."""
    held_out_programs: int = 200
    """Programs of each kind to test on, and as many of the hardest to choose the best model on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        few = seq2seq.Whole(1, 500)  # there are not many more of the easiest kind
        seq2seq.check_numbers(self, "", training_characters=seq2seq.Whole(1_000, 10**9), held_out_programs=few)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("tokens", len(CHARACTERS)),
        embedding_size=64,
        dropout=0.0,
        encoder=seq2seq.EncoderConfig(hidden_size=128),
        decoder=seq2seq.DecoderConfig(hidden_size=192, layers=1, coupling="none"),
    ),
    label_smoothing=0.0,
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=6_000, length_step=8),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=2 * len(KINDS), best_metric="loss", average_decay=0.99),
    search=seq2seq.SearchConfig(beam_size=1, max_length=16, length_penalty=0.0),
    reader=seq2seq.ReaderConfig("characters", symbols=CHARACTERS.symbols),
)


class Writer:
    """Writes random programs, keeping the value of every expression beside its text."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []

    def program(self, kind: Kind) -> Program:
        """A program of a kind, and what it prints."""
        length, nesting = kind
        self.lines = []
        text, value = self.number(length)
        for _ in range(nesting):
            text, value = self.operation(text, value, length)
        return "\n".join([*self.lines, f"print({text})"]), str(value)

    def number(self, length: int) -> tuple[str, int]:
        """A number from 1 to the largest of so many digits."""
        value = self.random.randrange(1, 10**length)
        return str(value), value

    def operation(self, text: str, value: int, length: int) -> tuple[str, int]:
        """An expression that does one thing more than the given one, and its value."""
        other, number = self.number(length)
        small = self.random.randint(1, 4 * length)
        match self.random.randrange(6):
            case 0:
                return f"({text}+{other})", value + number
            case 1:
                left, right = ((text, value), (other, number))[:: self.random.choice((1, -1))]
                return f"({left[0]}-{right[0]})", left[1] - right[1]
            case 2:
                return f"({text}*{small})", value * small
            case 3:
                (low, a), (high, b), sign = self.number(length), self.number(length), self.random.choice("<>")
                holds = a < b if sign == "<" else a > b
                return f"({text} if {low}{sign}{high} else {other})", value if holds else number
            case 4:
                name = self.named(text)
                self.lines.append(f"for x in range({small}):{name}+={other}")
                return name, value + small * number
            case _:
                return f"({self.named(text)}+{other})", value + number

    def named(self, text: str) -> str:
        """A new variable that has the value of an expression."""
        name = "abcdefgh"[len(self.lines)]
        self.lines.append(f"{name}={text}")
        return name


def programs(kinds: Callable[[random.Random], Kind], seed: int, known: set[str]) -> Iterator[Program]:
    """Programs without end, of kinds that are drawn for each, none of the known ones among them."""
    writer = Writer(seed)
    while True:
        written = writer.program(kinds(writer.random))
        if written[0] not in known:
            yield written


def held_out(kind: Kind, count: int, seed: int, known: set[str]) -> seq2seq.Captioned:
    """Programs of a kind, each of which becomes a known one."""
    found = []
    for program in islice(programs(lambda _: kind, seed, known), count):
        known.add(program[0])
        found.append(program)
    return examples(found)


def examples(written: list[Program]) -> seq2seq.Captioned:
    """Programs as ids of characters, their output with a space between characters."""
    inputs = [np.array(CHARACTERS.encode(program)) for program, _ in written]
    return seq2seq.Captioned(inputs, [[" ".join(printed)] for _, printed in written])


CURRICULA: dict[str, Callable[[float, random.Random], Kind]] = {
    "naive": lambda progress, _: KINDS[int(progress * len(KINDS))],
    "mix": lambda _, random: random.choice(KINDS),
    "combined": lambda progress, random: CURRICULA[random.choice(("naive", "mix"))](progress, random),
}
"""The kind of a program, given how much of the training lies behind, from 0 to 1."""


def stages(name: str, config: Config, known: set[str]) -> list[seq2seq.Captioned]:
    """The programs of each epoch by a curriculum."""
    epochs, characters = config.chosen_trainer().epochs, config.count(config.training_characters, quick=4_000)

    def stage(epoch: int) -> Iterator[Program]:
        left = characters
        seed = 1_000 * config.trainer.seed + epoch
        for written in programs(lambda random: CURRICULA[name](epoch / epochs, random), seed, known):
            left -= len(written[0])
            if left < 0:
                return
            yield written

    return [examples(list(stage(epoch))) for epoch in range(epochs)]


def main(config: Config) -> None:
    """Trains by each curriculum, and prints the table."""
    per_kind = config.count(config.held_out_programs, quick=8)
    known: set[str] = set()
    tests = {kind: held_out(kind, per_kind, 3, known) for kind in KINDS}
    validation = held_out(HARDEST, per_kind, 2, known)

    def train(name: str, variant: Config) -> seq2seq.Generator:
        return seq2seq.train_generator(variant, stages(name, config, known), validation)

    rows = ["curriculum,length,nesting,character_accuracy,exact_match\n"]
    print(f"{'':<24}accuracy per character    exact match, nesting {', '.join(map(str, NESTINGS))}")
    for name, generator in seq2seq.train_variants(dict.fromkeys(CURRICULA, config), train).items():
        for length, label in LENGTHS.items():
            of_length = [tests[length, nesting] for nesting in NESTINGS]
            forced = [
                generator.forced_accuracy(test.inputs, [each[0] for each in test.references]) for test in of_length
            ]
            exact = [seq2seq.exact_match(generator.generate(test.inputs), test.references) for test in of_length]
            shown = ["  ".join(f"{each:5.1f} %" for each in scores) for scores in (forced, exact)]
            print(f"{name:<10}{label:<14}{'    '.join(shown)}")
            for nesting, *scores in zip(NESTINGS, forced, exact, strict=True):
                rows.append(f"{name},{length},{nesting},{scores[0]:.2f},{scores[1]:.2f}\n")
    (Path(config.output) / "table.csv").write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
