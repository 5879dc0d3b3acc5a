"""Programs to what they print, read and written character by character (Zaremba & Sutskever 2014).

python recipes/learn_to_execute.py [--output DIR] [--quick] [--any.config.field VALUE]

Generated programs add, subtract, compare and choose among numbers of a given length, nested to a given depth, partly
through variables. The same model is trained twice on equally many programs: only on the hardest kind, and by a
curriculum that begins with short numbers and no nesting and then mixes all kinds up to the hardest (the paper's
"combined" strategy). The tables show exact match by length and nesting.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seq2seq.cli import script
from seq2seq.config import COUNTS, check_numbers
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.vocabulary import Characters
from seq2seq.evaluation.metrics import exact_match
from seq2seq.inference.transcriber import Generator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.configs import GeneratorTask
from seq2seq.tasks.transcription import Captioned, train_generator
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

LENGTHS, NESTINGS = (1, 2, 3), (1, 2, 3)
EPOCHS = 6
CHARACTERS = Characters("\n()*+-0123456789:<=>abcdefghijklmnoprstux ")

Kind = tuple[int, int]
"""Digits of the numbers, nesting of the operations."""

KINDS = [(length, nesting) for length in LENGTHS for nesting in NESTINGS]
HARDEST = KINDS[-1]


@dataclass(frozen=True)
class Config(GeneratorTask):
    """Choices of this script."""

    training_programs: int = 20_000
    """Programs per epoch."""
    held_out_programs: int = 100
    """Programs of each kind to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", training_programs=COUNTS, held_out_programs=COUNTS)


CONFIG = Config(
    model=GeneratorConfig(
        FrontEndConfig("tokens", len(CHARACTERS)),
        embedding_size=64,
        dropout=0.0,
        encoder=EncoderConfig(hidden_size=128),
        decoder=DecoderConfig(hidden_size=192, layers=1, coupling="none"),
    ),
    label_smoothing=0.0,
    batching=BatchingConfig(max_tokens_per_batch=6_000, length_step=8),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=100),
    trainer=TrainerConfig(epochs=EPOCHS, best_metric="error_rate", average_decay=0.99),
    search=SearchConfig(max_length=16, length_penalty=0.0),
)


class Writer:
    """Writes one random program, keeping the value of every expression beside its text."""

    def __init__(self, random: np.random.Generator, length: int) -> None:
        self.random, self.length = random, length
        self.lines: list[str] = []

    def number(self) -> tuple[str, int]:
        """A number of exactly the given digits."""
        value = int(self.random.integers(10 ** (self.length - 1), 10**self.length))
        return str(value), value

    def expression(self, nesting: int) -> tuple[str, int]:
        """An expression and its value."""
        if nesting == 0:
            return self.number()
        (left, a), (right, b) = self.expression(nesting - 1), self.number()
        match self.random.integers(5):
            case 0:
                return f"({left}+{right})", a + b
            case 1:
                return f"({left}-{right})", a - b
            case 2:
                factor = int(self.random.integers(2, 4))
                return f"({left}*{factor})", a * factor
            case 3:
                other, c = self.number()
                return f"({left} if {right}<{other} else {other})", a if b < c else c
            case _:
                name = "abcde"[len(self.lines)]
                self.lines.append(f"{name}={left}")
                return f"({name}+{right})", a + b

    def program(self, nesting: int) -> tuple[str, str]:
        """A program and what it prints."""
        text, value = self.expression(nesting)
        return "\n".join([*self.lines, f"print({text})"]), str(value)


def programs(kinds: list[Kind], count: int, seed: int) -> list[tuple[str, str]]:
    """Programs of kinds drawn at random, and what they print."""
    random = np.random.default_rng(seed)
    drawn = [kinds[number] for number in random.integers(len(kinds), size=count)]
    return [Writer(random, length).program(nesting) for length, nesting in drawn]


def examples(written: list[tuple[str, str]]) -> Captioned:
    """Programs as ids of characters, their output with a space between characters."""
    inputs = [np.array(CHARACTERS.encode(program)) for program, _ in written]
    return Captioned(inputs, [[" ".join(printed)] for _, printed in written])


def curriculum(count: int) -> list[Captioned]:
    """One set per epoch: each admits longer numbers and deeper nesting, the last ones all kinds, with extra weight on
    the hardest."""
    stages = []
    for epoch in range(EPOCHS):
        admitted = KINDS[: max(2, round(len(KINDS) * 2 * (epoch + 1) / EPOCHS))]
        stages.append(examples(programs([*admitted, *admitted[-1:] * 3], count, seed=10 + epoch)))
    return stages


def print_table(generator: Generator, tests: dict[Kind, Captioned]) -> None:
    """Exact match by length and nesting."""
    print("digits  " + "  ".join(f"nesting {nesting}" for nesting in NESTINGS))
    for length in LENGTHS:
        scores = []
        for nesting in NESTINGS:
            test = tests[length, nesting]
            scores.append(exact_match(generator.generate(test.inputs), test.references))
        print(f"{length:>6}  " + "  ".join(f"{score:>7.1f} %" for score in scores))


def main(config: Config) -> None:
    """Trains with and without the curriculum, and prints both tables."""
    count = config.count(config.training_programs)
    per_kind = config.count(config.held_out_programs, quick=8)
    validation = examples(programs([HARDEST], 2 * per_kind, seed=2))
    tests = {kind: examples(programs([kind], per_kind, seed=3)) for kind in KINDS}
    hardest_only = [examples(programs([HARDEST], count, seed=10 + epoch)) for epoch in range(EPOCHS)]
    generators = {}
    for name, stages in (("hardest only", hardest_only), ("curriculum", curriculum(count))):
        chosen = replace(config, output=str(Path(config.output) / name.replace(" ", "-")))
        generators[name] = train_generator(chosen, stages, validation)
    script.end_other_processes()
    for name, generator in generators.items():
        print(f"--- trained on: {name}")
        print_table(generator, tests)


if __name__ == "__main__":
    script.run_task(CONFIG, main)
