"""A character language model: learns to write like a text, one character after the other (Graves 2013, section 3).

python recipes/character_lm.py [--text FILE] [--output DIR] [--quick] [--any.config.field VALUE]

Without a text it reads this project's own source. The last tenth of the text is held out. After each epoch the log
shows a sample; the best model is kept, its error over time is in curves.png. --model.cell (rnn, gru, lstm, peephole)
and --optimizer.name (adam, adamw, rmsprop, sgd) are worth a comparison. How to let such a model join in another one's
beam search: seq2seq.search.shallow_fusion.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import logging
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 10
"""The last tenth of the text is the test, the one before chooses the best model."""

log = logging.getLogger("seq2seq.recipes.character_lm")


@dataclass(frozen=True)
class Config(seq2seq.LanguageModelTask):
    """Choices of this script."""

    text: str = ""
    """UTF-8 text file to learn from; the project's own source where none is given."""
    seed_text: str = "def "
    """What samples begin with."""
    sample_length: int = 300
    """Characters of a sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", sample_length=seq2seq.Whole(0, 1_000_000))


CONFIG = Config(
    model=seq2seq.LanguageModelConfig(cell="lstm", hidden_size=256, layers=1, embedding_size=64, dropout=0.1),
    window=128,
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=4_096, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.005, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=12, best_metric="loss", average_decay=0.99),
)


def read_text(config: Config) -> str:
    """The text to learn from."""
    if not config.text:
        files = sorted([*ROOT.glob("seq2seq/**/*.py"), *ROOT.glob("recipes/*.py")])
        return "".join(file.read_text(encoding="utf-8") for file in files)
    try:
        return Path(config.text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise seq2seq.UserError(f"{config.text}: cannot be read as UTF-8 text ({error}); give another --text") from None


def main(config: Config) -> None:
    """Trains, with a sample after each epoch, and prints bits per character and samples at three temperatures."""
    text = read_text(config)
    seq2seq.check(
        len(text) >= 1_000, f"{config.text}: {len(text)} characters are too few to learn from; give 1,000 at least"
    )
    tenth = len(text) // HELD_OUT
    training, validation, held_out = text[: -2 * tenth], text[-2 * tenth : -tenth], text[-tenth:]
    if config.quick:
        training, validation, held_out = training[:10_000], validation[:500], held_out[:500]

    def show_sample(model: seq2seq.CharacterModel) -> None:
        log.info("sample: %s", repr(config.seed_text + model.sample(config.seed_text, 100, temperature=0.7)))

    model = seq2seq.train_language_model(config, training, validation, show_sample)
    seq2seq.end_other_processes()
    print(f"held-out text: {model.bits_per_character(held_out):.3f} bits per character")
    for temperature in (0.3, 0.7, 1.0):
        print(f"--- temperature {temperature}")
        print(config.seed_text + model.sample(config.seed_text, config.sample_length, temperature))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
