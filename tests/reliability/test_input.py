"""Hostile text, broken data, no network: lines stay in step, mistakes are told before the first step."""

import contextlib
import gzip
import io
import json
import random
import re
import resource
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config import write_config
from seq2seq.data.corpus import load_split
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.data.vocabulary import Vocabulary
from tests.conftest import toy_config
from tests.forking import SERVER, run_script
from tests.reliability.conftest import Trials, small

WORDS = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]
TEXTS = ["</s>", "<s>", "<pad>", "<unk>", "<0x41>", "▁", "\u2028", "\u2029", "\u0085", "\ufeff", "\u0000"]
TEXTS += ["👩\u200d👩\u200d👧", "🏳️\u200d🌈", "e\u0301", "é", "שלום", "مرحبا", "\u202eabc", "ﷺ", "漢字"]
BYTES = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\r",
    b"\r\r",
    b"\x00",
    b"\x1b[31m",
    b"\t",
    b" ",
    b"  ",
    b"\x0b\x0c\x1c\x1d",
]
PIECES = [*(text.encode() for text in (*WORDS, *TEXTS)), *BYTES]
BLANK = [b"", b" ", b"\t ", "\u3000".encode()]


def hostile_line(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.15:
        return chance.choice(BLANK)
    if kind < 0.17:
        return chance.choice(PIECES) * 200_000  # about a megabyte
    line = b" ".join(chance.choices(PIECES, k=chance.randint(1, 12)))
    return line + chance.choice([b"", b"\r", b""])


def translated(run: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch, *options: str) -> bytes:
    """What `seq2seq translate` writes."""
    written = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(line + b"\n" for line in lines))))
        patch.setattr(sys, "stdout", io.TextIOWrapper(written))
        assert main(["translate", str(run), "--max-length", "20", "--max-input-length", "50", *options]) == 0
        sys.stdout.flush()
        return written.getvalue()


LINES_AT_ONCE = 20
GROWTH_MIB = 768
"""Of the test process's largest resident memory; the tokens of a hundred long lines, kept, would take more."""


def largest_resident() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@pytest.mark.fault(9, "text: blank, NUL, BOM, CR, U+2028, invalid UTF-8, 1 MB, written symbols", 60, 5_000)
def test_a_line_for_a_line_whatever_it_holds(
    trials: Trials, toy_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = Vocabulary.load(toy_run / "joint.spm.model")
    pending: list[bytes] = []
    before = largest_resident()
    for chance in trials:
        line = hostile_line(chance)
        ids = vocabulary.encode(line.decode("utf-8", errors="replace"))
        assert not {PAD_ID, BOS_ID, EOS_ID} & set(ids)
        pending.append(line)
        if len(pending) < LINES_AT_ONCE:
            continue
        # Between two lines whose translations are known, so that a shift would show.
        output = translated(toy_run, [b"ba", *pending, b"ko"], monkeypatch).split(b"\n")
        assert len(output) == len(pending) + 3
        assert (output[0], output[-2], output[-1]) == (b"BA", b"KO", b"")
        for given, found in zip(pending, output[1:-2], strict=True):
            assert bool(given.decode("utf-8", errors="replace").strip()) or found == b""
        pending = []
    assert largest_resident() - before < GROWTH_MIB


def test_a_cut_is_told(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By every verb that reads text; what is scored is what is left."""
    translated(toy_run, [b"ko " + b"ba " * 60], monkeypatch)
    assert "was cut to its first 50: it begins 'ko ba" in caplog.text
    caplog.clear()
    long, short = tmp_path / "long", tmp_path / "short"
    long.write_text("ba " * 60)
    short.write_text("ba " * 4)
    scores = []
    for source in (long, short):
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            words = ["score", str(toy_run), "--source-file", str(source), "--target-file", str(short)]
            assert main([*words, "--max-input-length", "4"]) == 0
        scores.append(written.getvalue())
    assert scores[0] == scores[1]
    assert caplog.text.count("was cut to its first 4") == 1


@pytest.mark.fault(15, "batch, beam and thread invariance of decoding", 200, 2_000)
def test_decoding_does_not_depend_on_batch_or_threads(trials: Trials, toy_run: Path) -> None:
    translator = seq2seq.load(toy_run)
    texts = [" ".join(random.Random(number).choices(WORDS, k=1 + number % 9)) for number in range(trials.wanted)]
    beams = (1, 2, 5, 11)
    threads = torch.get_num_threads()
    together = {}
    for beam in beams:
        torch.set_num_threads(2)
        try:
            together[beam] = translator.search(texts, beam_size=beam)
        finally:
            torch.set_num_threads(threads)
    for chance in trials:
        row, beam = trials.done, chance.choice(beams)
        company = chance.sample(range(len(texts)), min(chance.randint(0, 7), len(texts)))
        found = translator.search([texts[row], *(texts[other] for other in company)], beam_size=beam)[0][0]
        expected = together[beam][row][0]
        assert found.text == expected.text
        assert found.score == pytest.approx(expected.score, abs=1e-5)


# Data

Break = Callable[[Path], None]


def rows(count: int = 12) -> list[dict[str, Any]]:
    return [{"en": f"{WORDS[n % 8]} ba", "de": f"{WORDS[n % 8]} BA".upper()} for n in range(count)]


def as_jsonl(folder: Path, changed: dict[int, Any], name: str = "train") -> None:
    lines = [json.dumps(row) for row in rows()]
    for number, line in changed.items():
        lines[number - 1] = line if isinstance(line, str) else json.dumps(line)
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_table(folder: Path, separator: str, changed: dict[int, str]) -> None:
    lines = [separator.join(("en", "de")), *(separator.join(row.values()) for row in rows())]
    for number, line in changed.items():
        lines[number - 1] = line
    suffix = "csv" if separator == "," else "tsv"
    (folder / f"train.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_text(folder: Path, source: bytes, target: bytes) -> None:
    (folder / "train.en").write_bytes(source)
    (folder / "train.de").write_bytes(target)


BROKEN: dict[str, tuple[Break, str]] = {
    "one line less": (lambda f: as_text(f, b"a\nb\nc\n", b"a\nb\n"), r"train\.en has 3 lines, .*train\.de has 2"),
    "one line more": (lambda f: as_text(f, b"a\nb\n", b"a\nb\nc\n"), r"train\.en has 2 lines, .*train\.de has 3"),
    "one file missing": (lambda f: (f / "train.en").write_text("a\n") and None, r"holds train\.en but not both"),
    "text not UTF-8": (lambda f: as_text(f, b"a\nb\n", b"a\n\xff\n"), r"train\.de, line 2: not UTF-8"),
    "text empty": (lambda f: as_text(f, b"", b""), r"empty"),
    "a column missing": (lambda f: as_jsonl(f, {3: {"en": "x"}}), r"train\.jsonl, line 3.*'de'"),
    "a value null": (lambda f: as_jsonl(f, {4: {"en": "x", "de": None}}), r"train\.jsonl, line 4.*'de'"),
    "a value of another type": (lambda f: as_jsonl(f, {2: {"en": 7, "de": "x"}}), r"train\.jsonl, line 2.*'en'"),
    "a list where there was text": (lambda f: as_jsonl(f, {5: {"en": "x", "de": ["y"]}}), r"train\.jsonl, line 5"),
    "JSON cut off": (lambda f: as_jsonl(f, {6: '{"en": "x", '}), r"train\.jsonl, line 6"),
    "JSON that is no object": (lambda f: as_jsonl(f, {2: "[1, 2]"}), r"train\.jsonl, line 2.*object"),
    "JSON nested without end": (lambda f: as_jsonl(f, {2: "[" * 100_000}), r"train\.jsonl, line 2"),
    "csv: a cell less": (lambda f: as_table(f, ",", {3: "only one"}), r"train\.csv, line 3"),
    "tsv: a cell more": (lambda f: as_table(f, "\t", {4: "a\tb\tc"}), r"train\.tsv, line 4"),
    "tsv: no such column": (lambda f: as_table(f, "\t", {1: "en\tfr"}), r"'de'"),
    "nothing there": (lambda f: None, r"the folder is empty|no split 'train'"),
    "a stranger's file": (lambda f: (f / "notes.txt").write_text("x") and None, r"no split 'train'"),
    "gzip cut off": (
        lambda f: (f / "train.jsonl.gz").write_bytes(gzip.compress(json.dumps(rows()[0]).encode() * 99)[:-9]) and None,
        r"train\.jsonl\.gz",
    ),
    "parquet that is none": (lambda f: (f / "train.parquet").write_bytes(b"PAR1 no") and None, r"train\.parquet"),
    "all pairs blank": (lambda f: as_text(f, b" \n \n", b" \n \n"), r"empty|no sentence pair"),
}


def pictures(folder: Path, broken: bytes | None) -> None:
    """Splits of three pictures; the second one of the training split is of these bytes, or missing."""
    for split in ("train", "validation", "test"):
        (folder / split).mkdir()
        lines = [json.dumps({"file_name": f"{number}.png", "caption": "a square"}) + "\n" for number in range(3)]
        (folder / split / "metadata.jsonl").write_text("".join(lines))
        for number in range(3):
            Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(folder / split / f"{number}.png")
    second = folder / "train" / "1.png"
    second.unlink() if broken is None else second.write_bytes(broken)


def recording(folder: Path, content: bytes) -> None:
    (folder / "recordings").mkdir()
    (folder / "recordings" / "1_a_11.wav").write_bytes(content)


PICTURE = io.BytesIO()
Image.effect_noise((64, 64), 50).save(PICTURE, "png")
SOUND = io.BytesIO()
soundfile.write(SOUND, np.zeros(2_000), 8_000, format="WAV")
BROKEN_MEDIA: dict[str, tuple[str, Break, str]] = {
    "a picture that is none": (
        "captions_images",
        lambda f: pictures(f, b"no picture"),
        r"train/metadata\.jsonl, line 2: .*1\.png: cannot be read",
    ),
    "a picture cut off": (
        "captions_images",
        lambda f: pictures(f, PICTURE.getvalue()[:900]),
        r"train/metadata\.jsonl, line 2: .*1\.png: cannot be read",
    ),
    "a picture missing": ("captions_images", lambda f: pictures(f, None), r"line 2: no such file: .*1\.png"),
    "sound that is none": ("speech_digits", lambda f: recording(f, b"RIFF no sound"), r"1_a_11\.wav"),
    "sound cut off": ("speech_digits", lambda f: recording(f, SOUND.getvalue()[:900]), r"1_a_11\.wav: is cut off"),
    "sound without bytes": ("speech_digits", lambda f: recording(f, b""), r"1_a_11\.wav"),
}
KINDS = [*BROKEN, *BROKEN_MEDIA]


def told_of_text(kind: str, folder: Path, output: Path, streaming: bool, capfd: pytest.CaptureFixture[str]) -> str:
    """The last line of `seq2seq train` on broken data."""
    for split in ("validation", "test"):
        if kind != "nothing there":
            as_jsonl(folder, {}, split)
    BROKEN[kind][0](folder)
    words = ["train", "--data", str(folder), "--source", "en", "--target", "de", "--output", str(output)]
    words += ["--vocabulary.size", "40", "--trainer.max_steps", "1"]
    words += ["--streaming", "true"] if streaming else []
    assert main(words) == 2, kind
    return capfd.readouterr().err.strip().split("\n")[-1]


def told_of_media(kind: str, folder: Path, output: Path) -> str:
    """The last line of a recipe on broken pictures or sound."""
    recipe, spoil, _ = BROKEN_MEDIA[kind]
    spoil(folder)
    script = Path(__file__).parents[2] / "recipes" / f"{recipe}.py"
    ended = run_script(script, ["--data", folder, "--output", output], folder.parent)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().split("\n")[-1]


@pytest.mark.fault(10, "data: missing, broken, null, empty, of another type, pictures, sound", 30, 100)
def test_broken_data_is_told_before_the_first_step(
    trials: Trials, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in trials:
        kind = KINDS[trials.done % len(KINDS)]
        folder, output = tmp_path / f"data{trials.done}", tmp_path / f"run{trials.done}"
        folder.mkdir()
        if kind in BROKEN_MEDIA:
            told, wanted = told_of_media(kind, folder, output), BROKEN_MEDIA[kind][2]
        else:
            streaming = trials.done >= len(KINDS) and not kind.startswith(("one line", "text empty", "all pairs"))
            told, wanted = told_of_text(kind, folder, output, streaming, capfd), BROKEN[kind][1]
        assert re.match(r"[\w.]+: error: ", told), f"{kind}: {told}"
        assert re.search(wanted, told), f"{kind}: {told}"
        assert not (output / "checkpoints").exists()


def test_duplicate_rows_are_rows_like_others(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows(2) * 6)
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text(lines)
    assert len(load_split(toy_config(tmp_path, tmp_path / "run"), "train")) == 12


# Network


def _verbs_without_network(data: str, run: str, folder: str) -> None:
    """Every verb on local data, with sockets that refuse and tell."""
    tried: list[Any] = []

    def refuse(_socket: Any, address: Any, *_: Any) -> None:
        tried.append(address)
        raise OSError("no network")

    def unknown(host: Any, *_: Any, **__: Any) -> list[Any]:
        tried.append(host)
        raise OSError("no network")

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = unknown  # type: ignore[assignment]
    pairs = Path(folder) / "pairs.txt"
    pairs.write_text("ba\n")
    new = str(Path(folder) / "new")
    write_config(Path(folder) / "config.yaml", small(Path(data), Path(new), max_steps=3))
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"ba ko\n"))
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        for words in (
            ["train", "--config", str(Path(folder) / "config.yaml")],
            ["translate", run],
            ["score", run, "--source-file", str(pairs), "--target-file", str(pairs)],
            ["evaluate", run, "--data", data, "--output", folder],
            ["verify", run],
        ):
            assert main(words) == 0, words
    seq2seq.Translator.from_pretrained(run)
    assert not tried, tried


@pytest.mark.fault(17, "no network: sockets denied", 1, 1)
def test_nothing_is_looked_up_when_data_is_local(trials: Trials, toy_data: Path, toy_run: Path, tmp_path: Path) -> None:
    for _ in trials:
        shutil.copytree(toy_run, tmp_path / "run")
        process = SERVER.Process(
            target=_verbs_without_network, args=(str(toy_data), str(tmp_path / "run"), str(tmp_path))
        )
        process.start()
        process.join(120)
        assert process.exitcode == 0
