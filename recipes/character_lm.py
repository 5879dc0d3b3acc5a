"""A language model: learns to write like a text, one character, subword or word after the other (Graves 2013, section
3).

python recipes/character_lm.py [--data FILE] [--units UNITS] [--output DIR] [--quick] [--any.config.field VALUE]
python recipes/character_lm.py [--data FILE] --compare [--seconds S] [--output DIR]

FILE is UTF-8 text, or a folder with one such .txt; without it the text is this project's own source. The last tenth is
the test, a twentieth before it chooses the best model, whose error over time is in curves.png, and the cache of the
text read so far (Grave et al. 2017) with which the model is tested, too. --model.direction both
reads the text backwards, too (Peters et al. 2018). --compare trains each cell (rnn, gru, lstm, peephole) by each
optimiser (adam, rmsprop, sgd) for as many seconds, prints all figures and draws them as comparison.png.

A model that joins in a translator's search needs its vocabulary, and sentences:
--units subwords --sentences --vocabulary.source-model runs/multi30k_en_de/joint.spm.model (see
seq2seq.search.shallow_fusion).
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 10
"""The last tenth of the text is the test; half as much before it chooses the best model."""
RATES: dict[Literal["adam", "rmsprop", "sgd"], float] = {"adam": 0.002, "rmsprop": 0.002, "sgd": 1.0}
"""Learning rates of the comparison; with 3 a plain recurrent network diverges under SGD."""
TEMPERATURES = (0.3, 0.7, 1.0)

log = logging.getLogger("seq2seq.recipes.character_lm")


class Texts(NamedTuple):
    """What to train on, to choose the best model on, and to test on."""

    training: str
    validation: str
    test: str


@dataclass(frozen=True)
class Config(seq2seq.LanguageModelTask):
    """Choices of this script."""

    data: str = ""
    """UTF-8 text file to learn from, or a folder with one; the project's own source where none is given."""
    compare: bool = False
    """Train every cell by every optimiser, for equal times, instead of the one model."""
    seconds: int = 60
    """Time of training of each model that is compared."""
    seed_text: str = ""
    """What samples begin with; the test's first words where nothing is given."""
    sample_length: int = 300
    """Characters, or pieces, of a sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {"sample_length": seq2seq.Whole(0, 1_000_000), "seconds": seq2seq.COUNTS}
        seq2seq.check_numbers(self, "", **lengths)


CONFIG = Config(
    model=seq2seq.LanguageModelConfig(cell="lstm", hidden_size=512, layers=2, embedding_size=128, dropout=0.4),
    window=128,
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=4_096, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.002, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=25, best_metric="loss", average_decay=0.998),
)


def read(config: Config) -> Texts:
    """The text, in its parts."""
    place = Path(config.data)
    if not config.data:
        files = sorted([*ROOT.glob("seq2seq/**/*.py"), *ROOT.glob("recipes/*.py")])
        text = "".join(file.read_text(encoding="utf-8") for file in files)
    else:
        found = sorted(place.glob("*.txt")) if place.is_dir() else [place]
        seq2seq.check(len(found) == 1, f"{place}: holds {len(found)} .txt files; give --data FILE, one text")
        text = seq2seq.read_text(found[0])
    seq2seq.check(
        len(text) >= 1_000, f"{config.data}: {len(text)} characters are too few to learn from; give 1,000 at least"
    )
    tenth = len(text) // HELD_OUT
    texts = Texts(text[: -tenth - tenth // 2], text[-tenth - tenth // 2 : -tenth], text[-tenth:])
    if config.quick:
        texts = Texts(texts.training[:10_000], texts.validation[:500], texts.test[:500])
    choosing, testing = (
        "to choose the best model (the twentieth before the last tenth)",
        "for the test (the last tenth)",
    )
    for part, purpose in ((texts.validation, choosing), (texts.test, testing)):
        blank = f"{config.data}: the part held out {purpose} {'begins' if config.quick else 'is'} blank"
        seq2seq.check(bool(part.strip()), f"{blank}; take the blank lines out")
    return texts


def seed_text(config: Config, texts: Texts) -> str:
    """What samples begin with."""
    return config.seed_text or " ".join(texts.test.split()[:2]) + " "


def train(config: Config, texts: Texts) -> seq2seq.CharacterModel:
    """The model, with a sample in the log after each validation."""
    begin = seed_text(config, texts)

    def show_sample(model: seq2seq.CharacterModel) -> None:
        log.info("sample: %s", repr(begin + model.sample(begin, 100, temperature=0.7)))

    return seq2seq.train_language_model(config, texts.training, texts.validation, show_sample)


def bits_together(model: seq2seq.CharacterModel, pieces: list[str]) -> float:
    """Bits per character of texts, each read from its own beginning."""
    found = zip(model.bits_of_each(pieces), pieces, strict=True)
    return sum(bits * len(piece) for bits, piece in found) / sum(map(len, pieces))


def report(config: Config, texts: Texts) -> None:
    """Trains, prints bits per character and samples."""
    model, begin = train(config, texts), seed_text(config, texts)
    seq2seq.end_other_processes()
    if config.sentences:
        lines = [line + "\n" for line in texts.test.split("\n") if line.strip()]
        print(f"test: {bits_together(model, lines):.3f} bits per character, each line by itself")
    else:
        print(f"test: {model.bits_per_character(texts.test):.3f} bits per character")
        cache = seq2seq.tuned_cache(model, texts.validation)
        bits = seq2seq.bits_with_cache(model, texts.test, cache)
        print(f"test, with a cache of what was read: {bits:.3f} bits per character")
        log.info("cache, chosen by the text held out to choose the model: %s", cache)
    if config.model.direction == "both":
        print(f"test, backwards: {model.bits_per_character(texts.test, backwards=True):.3f} bits per character")
    for temperature in TEMPERATURES:
        print(f"--- temperature {temperature}")
        print(begin + model.sample(begin, config.count(config.sample_length, quick=20), temperature))


def variants(config: Config) -> dict[str, Config]:
    """Every cell by every optimiser, for equal times, at a constant rate behind the warm-up: nobody knows the last
    step."""
    found = {}
    for cell in ("rnn", "gru", "lstm", "peephole"):
        for name, rate in RATES.items():
            optimizer = replace(config.optimizer, name=name, learning_rate=rate, schedule="constant")
            trainer = replace(config.trainer, max_seconds=config.seconds, epochs=1_000_000, log_every_steps=10)
            model = replace(config.model, cell=cell)
            found[f"{cell}, {name}"] = replace(config, model=model, optimizer=optimizer, trainer=trainer)
    return found


def compare(config: Config, texts: Texts) -> None:
    """Trains all, prints their figures, the best first, and draws the error of each over time."""
    trained = seq2seq.train_variants(variants(config), lambda _, variant: train(variant, texts))
    pieces = [texts.test[start : start + 4_096] for start in range(0, len(texts.test), 4_096)]
    found = {name: bits_together(model, pieces) for name, model in trained.items()}
    for name, figure in sorted(found.items(), key=lambda each: each[1]):
        print(f"{name:<18} {figure:.3f} bits per character")
    lines = {name: curve(config, name) for name in trained}
    seq2seq.plot_lines(
        lines, Path(config.output) / "comparison.png", "seconds", f"bits per {config.units[:-1]}, training"
    )


def curve(config: Config, name: str) -> list[tuple[float, float]]:
    """Seconds and the training's bits per character, or piece, of a model that is compared."""
    entries = [each for each in seq2seq.read_journal(seq2seq.variant_folder(config, name)) if "train_loss" in each]
    last = entries[-1]["step"]
    return [(config.seconds * each["step"] / last, each["train_loss"] / math.log(2)) for each in entries]


def main(config: Config) -> None:
    """Trains one model, or compares many."""
    if config.quick:
        small = replace(config.model, hidden_size=32, embedding_size=32)
        config = replace(config, model=small, batching=replace(config.batching, max_tokens_per_batch=512))
    (compare if config.compare else report)(config, read(config))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
