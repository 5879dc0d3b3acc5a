"""Spoken digits in a row to words: pyramid BiLSTM encoder, attention decoder and CTC together (Watanabe et al. 2017).

python recipes/speech_digits.py --data DIR_OR_HUB_ID [--held-out-speaker NAME|each] [--any.option VALUE]

DIR holds recordings/DIGIT_SPEAKER_NUMBER.wav of one rate, such as the Free Spoken Digit Dataset; or it is a Hub id or
folder that `datasets` loads with an Audio column `audio` of files so named. One to five recordings of a speaker are
joined, with short silences of random length, to a string. Recordings numbered 10 and up are for training, those below 7
choose the best model, and 7 to 9 are for the test; with `--held-out-speaker NAME`, the test is on all recordings of
that speaker, and the rest is of the others. Where there is a column `text` or `transcription` too, or a metadata.csv
(file_name,text) lies beside the files, whole recordings are read, whatever is said in them; without splits, a tenth is
for the test (`seq2seq evaluate` goes by the folders train and test alone).
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from spoken import digits

BANDS = 40
WINDOW_SECONDS, STEP_SECONDS = 0.032, 0.016
EACH = "each"
"""Stands for every speaker in turn."""

Parts = Sequence[seq2seq.Captioned]
"""To train on, to choose the best model on, and to test on."""


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    data: str = ""
    """Hub id or folder of the recordings; must be given."""
    held_out_speaker: str = ""
    """Speaker to test on, none of whose recordings is trained on; each: every speaker in turn, by a model each; empty:
    the test is on other recordings of the speakers that are trained on."""
    training_strings: int = 6_000
    """Strings to train on."""
    held_out_strings: int = 500
    """Strings to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_strings=seq2seq.COUNTS, held_out_strings=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("features", BANDS, normalise=True),
        embedding_size=128,
        dropout=0.2,
        encoder=seq2seq.EncoderConfig(hidden_size=128, layers=3, subsampling=2),
        decoder=seq2seq.DecoderConfig(hidden_size=128, layers=1, attention="additive", coupling="input_feeding"),
        ctc=True,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=6_000, length_step=16),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=200),
    trainer=seq2seq.TrainerConfig(epochs=5, best_metric="error_rate", average_decay=0.99),
    search=seq2seq.SearchConfig(max_length_ratio=0.1),
)


def describe(generator: seq2seq.Generator, test: seq2seq.Captioned, ctc_weight: float, token: str) -> list[str]:
    """A line of error rates for each way of decoding."""
    texts = seq2seq.decode_every_way(generator, test.inputs, ctc_weight)
    return [f"{way:<22} {seq2seq.error_rates(each, test.references).describe(token)}" for way, each in texts.items()]


def train_and_print(config: Config, parts: Parts, token: str) -> None:
    """Trains on the first part, chooses on the second, and prints the error rates on the third."""
    training, validation, test = parts
    generator = seq2seq.train_generator(config, training, validation)
    seq2seq.end_other_processes()
    print("\n".join(describe(generator, test, config.ctc_weight, token)))
    seq2seq.draw_attention(generator, test.inputs, Path(config.output))


def leave_each_out(config: Config, speakers: Iterable[str], draw: Callable[[str], Parts]) -> None:
    """Trains a model for each speaker, on the others, and prints the error rates and their mean."""
    tests = {}

    def train(speaker: str, variant: Config) -> seq2seq.Generator:
        training, validation, tests[speaker] = draw(speaker)
        return seq2seq.train_generator(variant, training, validation)

    rates = []
    for speaker, generator in seq2seq.train_variants(dict.fromkeys(speakers, config), train).items():
        texts = generator.generate(tests[speaker].inputs, ctc_weight=config.ctc_weight)
        rates.append(seq2seq.error_rates(texts, tests[speaker].references))
        print(f"{speaker:<22} {rates[-1].describe('digit')}")
    of_digits, of_strings = (np.mean([getattr(each, name) for each in rates]) for name in ("token", "sequence"))
    print(f"{'mean':<22} digit error rate {of_digits:.2f} %, sequence error rate {of_strings:.2f} %")


def transcripts(config: Config, sounds: Sequence[seq2seq.Sound], samples: Sequence[np.ndarray]) -> Parts:
    """Whole recordings with what is said in them, by their splits, as `three_parts` has these."""
    splits: dict[str, list[tuple[np.ndarray, list[str]]]] = {}
    for sound, read in zip(sounds, samples, strict=True):
        splits.setdefault(sound.split, []).append((digits.frames(read, log_mel(config)), [str(sound.text)]))
    enough = "train" in splits and (len(splits) > 1 or len(splits["train"]) >= 20)
    seq2seq.check(enough, f"{config.data}: needs a split test or validation beside train, or 20 recordings")
    if len(splits) == 1:  # a tenth for the test
        splits["test"] = splits["train"][::10]
        splits["train"] = [each for row, each in enumerate(splits["train"]) if row % 10]
    parts = seq2seq.three_parts(splits, config.trainer.seed, 64 if config.quick else 10**9)
    return [seq2seq.Captioned(*zip(*part, strict=True)) for part in parts]


def log_mel(config: Config) -> seq2seq.LogMel:
    """What makes frames of samples."""
    return seq2seq.LogMel(config.reader.rate, BANDS, WINDOW_SECONDS, STEP_SECONDS)


def main(config: Config) -> None:
    """Trains, and prints the error rates of attention, of CTC and of both together."""
    seq2seq.check(bool(config.data), "give --data DIR_OR_HUB_ID, such as a folder of the Free Spoken Digit Dataset")
    sounds, held_out = digits.find(config.data), config.held_out_speaker
    samples, rate = digits.read(sounds)
    # seq2seq predict RUN a.wav b.wav
    config = replace(config, reader=seq2seq.ReaderConfig("sound", rate, BANDS, WINDOW_SECONDS, STEP_SECONDS))
    if sounds[0].text is not None:
        seq2seq.check(not held_out, f"{config.data}: names no speakers that could be held out; leave that option out")
        train_and_print(config, transcripts(config, sounds, samples), "word")
        return
    recordings = digits.named(sounds, samples)
    most, speakers = config.count(config.held_out_strings, quick=16), sorted({each.speaker for each in recordings})
    counts = config.count(config.training_strings), most, most

    def draw(speaker: str) -> Parts:
        """Strings of each part; those to train on are other ones with another seed."""
        parts = zip(digits.divide(recordings, speaker), counts, (config.trainer.seed, 2, 3), strict=True)
        return [digits.strings(*each, log_mel(config), rate) for each in parts]

    if held_out == EACH:
        for speaker in speakers:
            digits.divide(recordings, speaker)  # what the last one lacks is said before the first model is trained
        leave_each_out(config, speakers, draw)
    else:
        train_and_print(config, draw(held_out), "digit")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
