"""Programs to what they print, read and written character by character (Zaremba & Sutskever 2014).

python recipes/learn_to_execute.py [--output DIR] [--quick] [--any.config.field VALUE]

Generated programs add, subtract, compare and choose among numbers of a given length, nested to a given depth, partly
through variables. The same model is trained twice on equally many programs: only on the hardest kind, and by a
curriculum that begins with short numbers and no nesting and then mixes all kinds up to the hardest (the paper's
"combined" strategy). The tables show exact match by length and nesting.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass

import numpy as np

LENGTHS, NESTINGS = (1, 2, 3), (1, 2, 3)
EPOCHS = 6
CHARACTERS = seq2seq.Characters("\n()*+-0123456789:<=>abcdefghijklmnoprstux ")

Kind = tuple[int, int]
"""Digits of the numbers, nesting of the operations."""

KINDS = [(length, nesting) for length in LENGTHS for nesting in NESTINGS]
HARDEST = KINDS[-1]


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    training_programs: int = 20_000
    """Programs per epoch."""
    held_out_programs: int = 100
    """Programs of each kind to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_programs=seq2seq.COUNTS, held_out_programs=seq2seq.COUNTS)


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
    trainer=seq2seq.TrainerConfig(epochs=EPOCHS, best_metric="error_rate", average_decay=0.99),
    search=seq2seq.SearchConfig(max_length=16, length_penalty=0.0),
    reader=seq2seq.ReaderConfig("characters", symbols=CHARACTERS.symbols),
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


def examples(written: list[tuple[str, str]]) -> seq2seq.Captioned:
    """Programs as ids of characters, their output with a space between characters."""
    inputs = [np.array(CHARACTERS.encode(program)) for program, _ in written]
    return seq2seq.Captioned(inputs, [[" ".join(printed)] for _, printed in written])


def curriculum(count: int) -> list[seq2seq.Captioned]:
    """One set per epoch: each admits longer numbers and deeper nesting, the last ones all kinds, with extra weight on
    the hardest."""
    stages = []
    for epoch in range(EPOCHS):
        admitted = KINDS[: max(2, round(len(KINDS) * 2 * (epoch + 1) / EPOCHS))]
        stages.append(examples(programs([*admitted, *admitted[-1:] * 3], count, seed=10 + epoch)))
    return stages


def print_table(generator: seq2seq.Generator, tests: dict[Kind, seq2seq.Captioned]) -> None:
    """Exact match by length and nesting."""
    print("digits  " + "  ".join(f"nesting {nesting}" for nesting in NESTINGS))
    for length in LENGTHS:
        scores = []
        for nesting in NESTINGS:
            test = tests[length, nesting]
            scores.append(seq2seq.exact_match(generator.generate(test.inputs), test.references))
        print(f"{length:>6}  " + "  ".join(f"{score:>7.1f} %" for score in scores))


def main(config: Config) -> None:
    """Trains with and without the curriculum, and prints both tables."""
    count = config.count(config.training_programs)
    per_kind = config.count(config.held_out_programs, quick=8)
    validation = examples(programs([HARDEST], 2 * per_kind, seed=2))
    tests = {kind: examples(programs([kind], per_kind, seed=3)) for kind in KINDS}
    hardest_only = [examples(programs([HARDEST], count, seed=10 + epoch)) for epoch in range(EPOCHS)]
    stages = {"hardest only": hardest_only, "curriculum": curriculum(count)}

    def train(name: str, variant: Config) -> seq2seq.Generator:
        return seq2seq.train_generator(variant, stages[name], validation)

    for name, generator in seq2seq.train_variants(dict.fromkeys(stages, config), train).items():
        print(f"--- trained on: {name}")
        print_table(generator, tests)


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
