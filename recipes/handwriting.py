"""Handwritten digits in a strip, by the pen's movements, to their names (after Graves et al. 2009).

python recipes/handwriting.py --data DIR [--input pen] [--output DIR] [--quick] [--any.config.field VALUE]
python recipes/handwriting.py --input images [--output DIR] [--quick] [--any.config.field VALUE]

DIR holds pendigits.tra and pendigits.tes, the pen-based digits of the UCI repository (Alpaydin & Alimoglu 1998): those
of the test are by writers of their own. The last fifth of the training file chooses the best models. Each digit is cut
to 6 to 14 points anew, and one to six of them are joined; those to train on are turned, slanted and stretched a little.
BiLSTM, deep BiLSTM, BiLSTM with peepholes and LSTM of one direction learn by attention and CTC together, and are
compared with hidden Markov models (hmmlearn). Images are scikit-learn's digits, 8 x 8 pixels, read column by column.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from handwritten import hmm, images, pen

LAYERS = seq2seq.EncoderConfig(hidden_size=96, layers=2)
ENCODERS = {
    "BiLSTM": LAYERS,
    "LSTM, one direction": replace(LAYERS, direction="forward"),
    "deep BiLSTM": replace(LAYERS, layers=3),
    "BiLSTM, peephole": replace(LAYERS, cell="peephole"),
}


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    data: str = ""
    """Folder of pendigits.tra and pendigits.tes; must be given for pen."""
    input: Literal["pen", "images"] = "pen"
    """Movements of the pen, or scikit-learn's images."""
    training_strips: int = 6_000
    """Strips to train on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_strips=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("features", pen.FEATURES),
        embedding_size=64,
        dropout=0.1,
        encoder=LAYERS,
        decoder=seq2seq.DecoderConfig(hidden_size=128, layers=1, attention="additive", coupling="none"),
        ctc=True,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=2_000, length_step=8),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=5, best_metric="error_rate", average_decay=0.99),
    search=seq2seq.SearchConfig(max_length_ratio=0.3),
)


def read(config: Config) -> tuple[pen.Digits, pen.Digits, pen.Digits]:
    """Digits of training, validation and test; of a smoke run without data, generated ones."""
    if not config.data:
        seq2seq.check(config.quick, "give --data DIR, with pendigits.tra and pendigits.tes, or --input images")
        return pen.generated_digits(60, 1), pen.generated_digits(30, 2), pen.generated_digits(30, 3)
    given, test = (pen.read_digits(Path(config.data) / f"pendigits.{part}") for part in ("tra", "tes"))
    last = len(given.labels) * 4 // 5
    known = set(given.labels[:last])
    for digits, part in ((given, "tra"), (test, "tes")):
        other = set(digits.labels) - known
        shown = f"{Path(config.data) / f'pendigits.{part}'}: holds the digit {min(other, default=0)}"
        seq2seq.check(
            not other, f"{shown}, but not the first {last} rows of pendigits.tra, to train on; add some there"
        )
    few = slice(40) if config.quick else slice(None)
    return given.part(slice(last)).part(few), given.part(slice(last, None)).part(few), test.part(few)


def captioned(strips: Sequence[pen.Strip]) -> seq2seq.Captioned:
    """What a model reads and is to answer."""
    return seq2seq.Captioned([each.features for each in strips], [[each.text] for each in strips])


def train_and_print(
    config: Config, training: Sequence[seq2seq.Captioned], validation: seq2seq.Captioned, test: seq2seq.Captioned
) -> dict[str, list[str]]:
    """Trains a model per encoder, prints the error rates by CTC alone and by attention and CTC together, and returns
    what each read in the latter way."""
    encoders = dict(list(ENCODERS.items())[:2]) if config.quick else ENCODERS
    variants = {name: replace(config, model=replace(config.model, encoder=each)) for name, each in encoders.items()}

    def train(_name: str, variant: Config) -> seq2seq.Generator:
        return seq2seq.train_generator(variant, training, validation)

    results = {}
    for name, generator in seq2seq.train_variants(variants, train).items():
        results[name] = generator.generate(test.inputs, beam_size=5, ctc_weight=config.ctc_weight)
        ways = {"CTC, greedy": generator.generate_by_ctc(test.inputs), "joint, beam 5": results[name]}
        for way, texts in ways.items():
            print(f"{name:<20} {way:<13} {seq2seq.error_rates(texts, test.references).describe('character')}")
        seq2seq.draw_attention(generator, test.inputs, seq2seq.variant_folder(config, name))
    return results


def read_pen(config: Config) -> None:
    """Strips of pen movements, new ones in each epoch, short ones in the first."""
    fitted, held_out, unseen = read(config)
    seed, count = config.trainer.seed, config.count(config.training_strips)
    stages = [
        list(pen.drawn_strips(fitted, count, seed=100 * seed + epoch, most=6 if epoch else 3))
        for epoch in range(config.trainer.epochs)
    ]
    validation, test = list(pen.strips_of_all(held_out, 2)), list(pen.strips_of_all(unseen, 3))
    results = train_and_print(config, [captioned(stage) for stage in stages], captioned(validation), captioned(test))
    by_models = hmm.read_strips(stages[-1][:1_500], test)
    print(f"{'HMM':<34} {seq2seq.error_rates(by_models, captioned(test).references).describe('character')}")
    draw(Path(config.output) / "strips.png", test[:4], results["BiLSTM"])


def read_images(config: Config) -> None:
    """Strips of images; an epoch of short ones first: where to look is learned on them in half the time."""
    seed, count = config.trainer.seed, config.count(config.training_strips)
    training = [images.strips("train", count, seed + stage, most) for stage, most in ((0, 3), (1, 8))]
    held_out = config.count(500, quick=16)
    validation, test = images.strips("validation", held_out, 2), images.strips("test", held_out, 3)
    front_end = replace(config.model.front_end, input_size=images.HEIGHT)
    config = replace(config, model=replace(config.model, front_end=front_end))
    train_and_print(config, training, validation, test)


def draw(path: Path, strips: Sequence[pen.Strip], texts: Sequence[str]) -> None:
    """Writes strips, one below the other, as the pen wrote them."""
    lines = {}
    for row, (strip, text) in enumerate(zip(strips, texts, strict=False)):
        track = np.cumsum(strip.features[:, :2], 0) - [0, 6 * row]
        parts = np.split(track, np.cumsum(strip.lengths)[:-1])
        broken = np.concatenate([np.concatenate([part, [[np.nan, np.nan]]]) for part in parts])
        lines[f"{strip.text}, read as {text}"] = [(x, y) for x, y in broken.tolist()]
    seq2seq.plot_lines(lines, path, "", "")


def main(config: Config) -> None:
    """Trains and prints the error rates of pen or images."""
    (read_pen if config.input == "pen" else read_images)(config)


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
