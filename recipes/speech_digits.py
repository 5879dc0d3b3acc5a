"""Spoken digits in a row to words: pyramid BiLSTM encoder, attention decoder and CTC together (Watanabe et al. 2017).

python recipes/speech_digits.py --data DIR_OR_HUB_ID [--output DIR] [--quick] [--any.config.field VALUE]

DIR holds recordings/{digit}_{speaker}_{number}.wav of one rate, such as the Free Spoken Digit Dataset; or it is a Hub
id or folder that `datasets` loads with an Audio column `audio` of files so named. One to five recordings of a speaker
are joined, with short silences of random length, to a string. Recordings numbered 10 and up are for training, 5 to 9
for the held-out strings.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
FIRST_TRAINING_NUMBER = 10
BANDS = 40
WINDOW_SECONDS, STEP_SECONDS = 0.032, 0.016

WANTED = (
    "a folder with recordings/DIGIT_SPEAKER_NUMBER.wav, or a data set with an Audio column 'audio' of files so named"
)

Recordings = dict[tuple[str, int], list[np.ndarray]]


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    data: str = ""
    """Hub id or folder of the recordings; must be given."""
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


def named_sounds(data: str) -> Iterator[tuple[str, Any]]:
    """Names of the recordings, such as 7_jackson_12.wav, each with the path or the file to read it from."""
    folder = Path(data) / "recordings"
    if folder.is_dir():
        for path in sorted(folder.glob("*.wav")):
            yield str(path), path
        return
    from datasets import Audio

    rows = seq2seq.open_any(data, "train", WANTED)
    column = rows.features.get("audio")
    seq2seq.check(isinstance(column, Audio), f"{data}: no column 'audio' of sounds; give {WANTED}")
    for number, row in enumerate(rows.cast_column("audio", Audio(decode=False)), 1):
        sound = row["audio"] or {"path": None, "bytes": None}
        name = sound["path"] or f"{data}, row {number}"
        yield name, io.BytesIO(sound["bytes"]) if sound["bytes"] else sound["path"]


def read_recordings(data: str) -> tuple[Recordings, Recordings, int]:
    """Training and held-out recordings by speaker and digit, and their rate in Hz."""
    import soundfile

    training: Recordings = {}
    held_out: Recordings = {}
    rates: dict[int, str] = {}
    for name, source in named_sounds(data):
        parts = re.fullmatch(r"(\d)_([^_]+)_(\d+)\.wav", Path(name).name)
        if parts is None:
            raise seq2seq.UserError(f"{name}: a recording is named digit_speaker_number.wav")
        digit, speaker, number = parts.groups()
        try:
            samples, rate = soundfile.read(source, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise seq2seq.UserError(
                f"{name}: cannot be read as sound ({error.error_string}); remove or replace it"
            ) from None
        rates.setdefault(rate, name)
        if samples.ndim > 1 or len(rates) > 1:
            first = next(iter(rates.values()))
            raise seq2seq.UserError(
                f"{name}: not one channel at the rate of {first}; convert the recordings to one form"
            )
        target = training if int(number) >= FIRST_TRAINING_NUMBER else held_out
        target.setdefault((speaker, int(digit)), []).append(samples)
    refuse_gaps(data, training, held_out)
    return training, held_out, next(iter(rates))


def refuse_gaps(data: str, training: Recordings, held_out: Recordings) -> None:
    """Strings are drawn from all digits of a speaker."""
    speakers = sorted({speaker for speaker, _ in [*training, *held_out]})
    if not speakers:
        raise seq2seq.UserError(f"{data}: holds no recordings named digit_speaker_number.wav")
    for digit in range(10):
        for speaker in speakers:
            if (speaker, digit) not in training or (speaker, digit) not in held_out:
                sides = f"numbered below {FIRST_TRAINING_NUMBER} and from {FIRST_TRAINING_NUMBER} on"
                raise seq2seq.UserError(f"{data}: {speaker}'s {digit} needs recordings {sides}")


def strings(recordings: Recordings, rate: int, count: int, seed: int) -> seq2seq.Captioned:
    """Joined recordings as log-mel frames, each with its words."""
    random = np.random.default_rng(seed)
    log_mel = seq2seq.LogMel(rate, BANDS, WINDOW_SECONDS, STEP_SECONDS)
    speakers = sorted({speaker for speaker, _ in recordings})
    inputs, references = [], []
    for _ in range(count):
        speaker = speakers[random.integers(len(speakers))]
        digits = random.integers(10, size=random.integers(1, 6)).tolist()
        pieces = [silence(random, rate)]
        for digit in digits:
            takes = recordings[speaker, digit]
            loudness = np.float32(random.uniform(0.5, 2.0))
            pieces += [loudness * takes[random.integers(len(takes))], silence(random, rate)]
        with torch.inference_mode():
            inputs.append(log_mel(torch.from_numpy(np.concatenate(pieces))).numpy())
        references.append([" ".join(WORDS[digit] for digit in digits)])
    return seq2seq.Captioned(inputs, references)


def silence(random: np.random.Generator, rate: int) -> np.ndarray:
    """Up to a fifth of a second of faint noise."""
    return random.normal(0, 0.001, random.integers(rate // 100, rate // 5)).astype(np.float32)


def main(config: Config) -> None:
    """Trains, and prints the error rates of attention, of CTC and of both together."""
    seq2seq.check(bool(config.data), "give --data DIR_OR_HUB_ID, such as a folder of the Free Spoken Digit Dataset")
    training, held_out, rate = read_recordings(config.data)
    reader = seq2seq.ReaderConfig("sound", rate, BANDS, WINDOW_SECONDS, STEP_SECONDS)
    config = replace(config, reader=reader)  # seq2seq predict RUN a.wav b.wav
    count = config.count(config.held_out_strings, quick=16)
    validation, test = (strings(held_out, rate, count, seed) for seed in (2, 3))
    generator = seq2seq.train_generator(
        config, strings(training, rate, config.count(config.training_strings), 1), validation
    )
    seq2seq.end_other_processes()
    for name, texts in seq2seq.decode_every_way(generator, test.inputs, config.ctc_weight).items():
        print(f"{name:<22} {seq2seq.error_rates(texts, test.references).describe('digit')}")
    seq2seq.draw_attention(generator, test.inputs, Path(config.output))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
