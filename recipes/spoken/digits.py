"""Recordings of single digits, named after digit, speaker and number, joined to strings."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import seq2seq

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
FIRST_TRAINING_NUMBER, FIRST_TEST_NUMBER = 10, 7
"""Recordings from the former on are trained on; those from the latter on, below it, are for the test; those below both
choose the best model."""
SHORTEST = 0.02
"""Seconds below which there is no word in a recording."""
WANTED = (
    "a folder with recordings/DIGIT_SPEAKER_NUMBER.wav, or a data set with an Audio column 'audio' of files so named, "
    "or with a column 'text' of what is said, such as a folder with metadata.csv (file_name,text)"
)


@dataclass(frozen=True)
class Recording:
    """A spoken digit."""

    digit: int
    speaker: str
    number: int
    samples: np.ndarray
    """[n] float32"""


class Parts(NamedTuple):
    """Recordings to train on, to choose the best model on, and to test on."""

    training: list[Recording]
    validation: list[Recording]
    test: list[Recording]


def find(data: str) -> list[seq2seq.Sound]:
    """The recordings of a folder or Hub id."""
    folder = Path(data) / "recordings"
    if not folder.is_dir():
        return seq2seq.open_sounds(data, WANTED)
    sounds = [seq2seq.Sound(str(path), path.name, path, None, "train") for path in sorted(folder.glob("*.wav"))]
    seq2seq.check(bool(sounds), f"{data}: holds no recordings named digit_speaker_number.wav")
    return sounds


def read(sounds: Iterable[seq2seq.Sound]) -> tuple[list[np.ndarray], int]:
    """The samples [n] of each, and their rate in Hz. Raises UserError naming the first that cannot be read, or is of
    another form than those before it."""
    read, first = [], ("", 0)
    for sound in sounds:
        samples, rate = seq2seq.read_samples(sound.source, sound.place)
        first = first if first[0] else (sound.place, rate)
        if samples.ndim > 1 or rate != first[1]:
            raise seq2seq.UserError(
                f"{sound.place}: not one channel at the rate of {first[0]}; convert the recordings to one form"
            )
        long_enough = len(samples) > SHORTEST * rate
        seq2seq.check(long_enough, f"{sound.place}: has {len(samples)} samples, too few for a word; replace it")
        read.append(samples)
    return read, first[1]


def named(sounds: Sequence[seq2seq.Sound], samples: Sequence[np.ndarray]) -> list[Recording]:
    """Recordings whose names say which digit is spoken, and by whom. Raises UserError where one has another name."""
    recordings = []
    for sound, read_in in zip(sounds, samples, strict=True):
        parts = re.fullmatch(r"(\d)_([^_]+)_(\d+)\.wav", Path(sound.name).name)
        if parts is None:
            raise seq2seq.UserError(f"{sound.place}: a recording is named digit_speaker_number.wav")
        recordings.append(Recording(int(parts[1]), parts[2], int(parts[3]), read_in))
    return recordings


def divide(recordings: Sequence[Recording], held_out_speaker: str = "") -> Parts:
    """By their numbers; with a speaker held out, all recordings of that speaker are for the test, and none of others.
    Raises UserError where a speaker lacks a digit that strings would be drawn from."""
    speakers = sorted({each.speaker for each in recordings})
    if held_out_speaker:
        known = f"held_out_speaker {held_out_speaker}: the speakers are {', '.join(speakers)}"
        seq2seq.check(held_out_speaker in speakers, f"{known}; give one of them, or each")
        seq2seq.check(len(speakers) > 1, f"{known}, so that nothing is left to train on")
    parts = Parts([], [], [])
    for each in recordings:
        if each.speaker == held_out_speaker or FIRST_TEST_NUMBER <= each.number < FIRST_TRAINING_NUMBER:
            if held_out_speaker in ("", each.speaker):
                parts.test.append(each)
        else:
            (parts.training if each.number >= FIRST_TRAINING_NUMBER else parts.validation).append(each)
    others = [speaker for speaker in speakers if speaker != held_out_speaker]
    refuse_gaps(parts.training, others, f"numbered {FIRST_TRAINING_NUMBER} or more, to train on")
    refuse_gaps(parts.validation, others, f"numbered below {FIRST_TEST_NUMBER}, to choose the best model on")
    tested = f"numbered {FIRST_TEST_NUMBER} to {FIRST_TRAINING_NUMBER - 1}, for the test"
    if held_out_speaker:
        others, tested = [held_out_speaker], "for the test"
    refuse_gaps(parts.test, others, tested)
    return parts


def refuse_gaps(recordings: Iterable[Recording], speakers: Iterable[str], wanted: str) -> None:
    """Strings are drawn from all digits of a speaker."""
    there = {(each.speaker, each.digit) for each in recordings}
    for speaker in speakers:
        for digit in range(10):
            seq2seq.check((speaker, digit) in there, f"--data: {speaker}'s {digit} needs a recording {wanted}")


def strings(
    recordings: Iterable[Recording], count: int, seed: int, log_mel: seq2seq.LogMel, rate: int
) -> seq2seq.Captioned:
    """One to five recordings of a speaker joined, with short silences of random length, as log-mel frames, each with
    its words."""
    takes: dict[str, dict[int, list[np.ndarray]]] = {}
    for each in recordings:
        takes.setdefault(each.speaker, {}).setdefault(each.digit, []).append(each.samples)
    random, speakers = np.random.default_rng(seed), sorted(takes)
    inputs, references = [], []
    for _ in range(count):
        spoken = takes[speakers[random.integers(len(speakers))]]
        digits = random.integers(10, size=random.integers(1, 6)).tolist()
        pieces = [silence(random, rate)]
        for digit in digits:
            loudness = np.float32(random.uniform(0.5, 2.0))
            pieces += [loudness * spoken[digit][random.integers(len(spoken[digit]))], silence(random, rate)]
        inputs.append(frames(np.concatenate(pieces), log_mel))
        references.append([" ".join(WORDS[digit] for digit in digits)])
    return seq2seq.Captioned(inputs, references)


@torch.inference_mode()
def frames(samples: np.ndarray, log_mel: seq2seq.LogMel) -> np.ndarray:
    """Samples [n] -> [frames, bands] float32."""
    return log_mel(torch.from_numpy(samples)).numpy()


def silence(random: np.random.Generator, rate: int) -> np.ndarray:
    """Up to a fifth of a second of faint noise."""
    return random.normal(0, 0.001, random.integers(rate // 100, rate // 5)).astype(np.float32)
