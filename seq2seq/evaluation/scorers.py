"""Figures of other programs: COMET, a function of the user's, a command that reads and writes lines."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq.errors import UserError, check, where_and_why
from seq2seq.evaluation.metrics import Metric
from seq2seq.runs.weights import sha256_of

COMET_MODEL = "Unbabel/wmt22-comet-da"
PAIRS_PER_BATCH = 16
DIGITS = 12
"""Digits of each file's checksum in a signature."""

Judge = Callable[[list[str], list[str], list[list[str]]], Any]
"""Sources, hypotheses, and one reference or several for each, to one number, or a number for each hypothesis."""


class Scorer(NamedTuple):
    """Something outside of this package that gives a figure."""

    name: str
    signature: str
    """What gives the figure, and in which version."""
    judge: Judge

    def metric(self, sources: list[str], hypotheses: list[str], references: list[list[str]]) -> Metric:
        """The figure: of numbers for each hypothesis the mean. Raises UserError where the scorer fails or gives
        anything else."""
        given = list(sources), list(hypotheses), [list(lines) for lines in references]  # its own, to change as it likes
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            found = self.judge(*given)
        scores = _as_array(found)
        if scores is None:
            shown = " ".join(repr(found).split())[:40]
            raise UserError(f"{self.name} gave {shown}, no number and no list of numbers")
        fits = scores.ndim == 0 or scores.shape == (len(hypotheses),)
        wanted = f"one number or {len(hypotheses)}, one for each hypothesis"
        check(fits, f"{self.name} gave numbers of shape {list(scores.shape)}; give {wanted}")
        check(bool(np.isfinite(scores).all()), f"{self.name} gave a number that is not finite")
        return Metric(self.name, math.fsum(scores.ravel()) / scores.size, self.signature)


def _as_array(found: Any) -> np.ndarray | None:
    """Numbers in fp64; None where they are none."""
    try:
        return None if found is None else np.asarray(found, np.float64)
    except Exception:  # the arrays of other packages raise what they like
        return None


def scorer_by_function(place: str, function: Callable[..., Any]) -> Scorer:
    """A function of the user's, which FILE.py:FUNCTION names."""
    path = Path(place.rpartition(":")[0])

    def judge(*texts: Any) -> Any:
        try:
            return function(*texts)
        except (Exception, SystemExit) as error:
            raise UserError(f"--metrics {place}{where_and_why(error, path)}") from None

    return Scorer(Path(place).name, f"{Path(place).name}|{_sums_of([path])}", judge)


def scorer_by_command(command: str) -> Scorer:
    """A command that reads lines of source, hypothesis and references, with tabs between them, and writes a number for
    each. Raises UserError where there is no such program."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--scorer {command}: {error}") from None
    check(bool(words) and shutil.which(words[0]) is not None, f"--scorer {command}: there is no such program")
    files = [Path(word) for word in (str(shutil.which(words[0])), *words[1:]) if os.path.isfile(word)]

    def judge(sources: list[str], hypotheses: list[str], references: list[list[str]]) -> list[float]:
        rows = zip(sources, hypotheses, references, strict=True)
        lines = ["\t".join(map(_in_a_line, (source, text, *others))) for source, text, others in rows]
        return _numbers(command, _written_by(command, words, "".join(line + "\n" for line in lines)), len(lines))

    return Scorer(command, f"{command}|{_sums_of(files)}", judge)


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def _sums_of(files: Sequence[Path]) -> str:
    return "sha256:" + "+".join(sha256_of(path)[:DIGITS] for path in files)


def _written_by(command: str, words: list[str], text: str) -> str:
    """What a command writes to standard output when it reads a text. Raises UserError where it fails."""
    try:
        done = subprocess.run(words, input=text.encode("utf-8", "replace"), capture_output=True, check=False)
    except OSError as error:
        raise UserError(f"--scorer {command}: {error.strerror}") from None
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    check(done.returncode == 0, f"--scorer {command}: ended with status {done.returncode}: {last}")
    return done.stdout.decode("utf-8", "replace")


def _numbers(command: str, output: str, count: int) -> list[float]:
    """Those of a command's lines. Raises UserError where they are none, or not as many as lines were read."""
    lines = output.removesuffix("\n").split("\n") if output else []
    check(len(lines) == count, f"--scorer {command}: wrote {len(lines)} lines for {count}; write a number for each")
    numbers = []
    for row, line in enumerate(lines, 1):
        try:
            numbers.append(float(line))
        except ValueError:
            raise UserError(f"--scorer {command}: its line {row} is no number: {line[:40]!r}") from None
    return numbers


def comet_scorer() -> Scorer:
    """COMET (Rei et al. 2022), by its authors' package and model; of several references the mean over them. Raises
    UserError where one of both is not on this machine: nothing is downloaded."""
    check(find_spec("comet") is not None, "--metrics comet: needs pip install unbabel-comet, or leave it out")
    import comet
    import torch

    try:
        path = comet.download_model(COMET_MODEL, local_files_only=True)
        model = comet.load_from_checkpoint(path, local_files_only=True)
    except Exception as error:  # the package raises them as they come
        reason = " ".join(str(error).split())[:200]
        get = f"get it with: hf download {COMET_MODEL}"
        raise UserError(f"--metrics comet: the model {COMET_MODEL} is not here ({reason}); {get}") from None

    def judge(sources: list[str], hypotheses: list[str], references: list[list[str]]) -> list[float]:
        rows = zip(sources, hypotheses, references, strict=True)
        samples = [{"src": source, "mt": text, "ref": line} for source, text, lines in rows for line in lines]
        gpus = int(torch.cuda.is_available())
        scores = iter(model.predict(samples, batch_size=PAIRS_PER_BATCH, gpus=gpus, progress_bar=False).scores)
        return [sum(float(next(scores)) for _ in lines) / len(lines) for lines in references]

    return Scorer("COMET", f"model:{COMET_MODEL}|version:{_version('unbabel-comet')}", judge)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
