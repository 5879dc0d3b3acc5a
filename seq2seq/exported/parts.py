"""What exported models of every kind have in common, and those that do not search: classes, labels, values, language
models."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

if __package__:
    from seq2seq.exported.inputs import Fault, read
else:  # beside the exported model
    from inputs import Fault, read  # type: ignore[import-not-found, no-redef]

PAD, UNKNOWN, BEGIN, END, FIRST_CHARACTER = range(5)
ROWS, STEPS = 128, 8_192
"""Inputs, and padded steps, that are computed together."""
Array = np.ndarray


class Subwords:
    """A SentencePiece vocabulary."""

    def __init__(self, path: Path) -> None:
        import sentencepiece

        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError):
            raise Fault(f"{path}: missing, or no SentencePiece model; export the run again") from None

    def __len__(self) -> int:
        return int(self.processor.get_piece_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without beginning and end."""
        try:
            return self.processor.encode(list(texts))
        except TypeError:  # lone surrogates, which have no UTF-8 form
            return self.processor.encode([text.encode("utf-8", "replace") for text in texts])

    def decode(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """A text, in one line, of each list of ids."""
        return [text.replace("\n", " ").strip(" ") for text in self.processor.decode([list(ids) for ids in batch])]

    def tags(self) -> list[str]:
        """What texts may begin with: words in pointed brackets that were given as pieces, not learned, which shows in
        their scores."""
        own, found = self.processor, []
        for number in range(len(self)):
            text = own.id_to_piece(number).strip("\u2581")
            learned = own.is_control(number) or own.is_unknown(number) or own.is_byte(number) or own.get_score(number)
            if re.fullmatch(r"<[^<>\s\u2581]+>", text) and not learned:
                found.append(text)
        return found

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The piece of each id, to show."""
        return [self.processor.id_to_piece(int(each)) for each in ids]


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


GRAPHS = {
    "translator": {"encoder", "step"},
    "generator": {"encoder", "step"},
    "predictor": {"predictor"},
    "language_model": {"language_model"},
}
"""Of each kind of model."""


class Graphs:
    """The files of an exported model."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        self.folder = Path(folder)
        try:
            self.config: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            self.kind: str = self.config["kind"]
            if set(self.config["graphs"]) != GRAPHS.get(self.kind):
                raise Fault(f"{self.folder}: no model of a kind that this program knows; export the run again")
            self.reader, self.state = self.config["reader"], self.config["state"]
            self.threads, self.graphs = threads, {}
            self.check_files(self.config.get("files_sha256", {}))
            for name in self.config["graphs"]:
                self.graphs[name] = self.load_graph(name)
        except FileNotFoundError as error:
            raise Fault(f"{error.filename}: no such file; export the run again") from None
        except Fault:
            raise
        except OSError as error:
            raise Fault(f"{error.filename}: cannot be read ({error.strerror}); export the run again") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            path = self.folder / "config.json"
            raise Fault(f"{path}: not that of an exported model, or damaged; export the run again") from None
        self.source, self.target = (self.vocabulary(side) for side in ("source", "target"))
        self.shared = {name for name, each in self.state.items() if each["shared"]}

    def check_files(self, sums: dict[str, str]) -> None:
        """Raises Fault where a graph or a vocabulary is not as it was exported. sums: SHA-256 of files; without it, as
        in an export that was changed on purpose, nothing is checked."""
        for name, expected in sums.items():
            if name.endswith((".onnx", ".model")) and sha256_of(self.folder / name) != expected:
                raise Fault(
                    f"{self.folder / name}: damaged, or changed since the export; export the run again, or remove "
                    "files_sha256 from config.json where it is meant"
                )

    def run(self, name: str, outputs: Sequence[str], given: dict[str, Array]) -> list[Array]:
        """What the graph of that name gives."""
        try:
            return self.graphs[name].run(list(outputs), given)
        except Exception as error:  # the library raises types of its own
            reason = str(error).splitlines()[0][:200]
            raise Fault(f"{self.folder / name}.onnx: cannot answer ({reason}); is it of this export?") from None

    def load_graph(self, name: str) -> onnxruntime.InferenceSession:
        """A graph, ready to run."""
        path = self.folder / f"{name}.onnx"
        if not path.exists():
            raise FileNotFoundError(2, "", str(path))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.threads, 3
        options.enable_cpu_mem_arena = False  # half the memory, at no cost that was measured
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # else threads wait at full speed
        try:
            return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # the library raises types of its own
            raise Fault(f"{path}: cannot be loaded ({str(error).splitlines()[0][:200]})") from None

    def vocabulary(self, side: str) -> Subwords | None:
        """The subwords of a side; None where it has none."""
        name = self.config["vocabularies"].get(side)
        return Subwords(self.folder / name) if name else None

    def encode(self, texts: Sequence[str]) -> list[Array]:
        """Ids of each text, end of sentence last."""
        assert self.source is not None
        ids = self.source.encode([text if text.strip() else "" for text in texts])
        return [np.array([*each, END], np.int64) for each in ids]

    @staticmethod
    def batches(lengths: dict[int, int], rows: int) -> Iterator[list[int]]:
        """Numbers of inputs of similar length, some at a time."""
        batch: list[int] = []
        for number in sorted(lengths, key=lengths.__getitem__):
            if batch and (len(batch) == rows or (len(batch) + 1) * lengths[number] > STEPS):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    # Answers without a decoder

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for each input: [S', O] per step, or [O]; logits where the model names classes."""
        results: list[Any] = [None] * len(inputs)
        for batch in self.batches({number: len(each) for number, each in enumerate(inputs)}, ROWS):
            source, lengths = padded([inputs[number] for number in batch])
            outputs, steps = self.run("predictor", ["outputs", "steps"], {"source": source, "lengths": lengths})
            for number, row, count in zip(batch, outputs, steps, strict=True):
                results[number] = row[:count] if self.config["answer"] == "steps" else row
        return results

    def meaning(self, outputs: Array) -> Any:
        """Of a predictor's outputs: a class's name, the names of all steps, or the values as the data has them."""
        labels = self.config["labels"]
        if labels is None:
            return outputs * self.reader["scale"] + self.reader["offset"]
        return np.array(labels)[outputs.argmax(-1)].tolist()

    # Language models

    def log_probs(self, tokens: Iterable[int]) -> Iterator[Array]:
        """log P of each next character [V], after each token."""
        names = list(self.state)
        state = {name: np.zeros((1, *each["shape"]), np.float32) for name, each in self.state.items()}
        for token in tokens:
            given = {"tokens": np.array([token], np.int64), **state}
            wanted = ["log_probs", *(f"{name}.next" for name in names)]
            found, *after = self.run("language_model", wanted, given)
            state = dict(zip(names, after, strict=True))
            yield found[0]

    def sample(self, text: str, length: int = 200, temperature: float = 1.0, seed: int = 1) -> str:
        """Goes on from a text by random characters; the same seed gives the same text (not that of the toolkit, whose
        random numbers are others)."""
        random, drawn = np.random.default_rng(seed), list(self.characters(text))

        def tokens() -> Iterator[int]:
            yield BEGIN
            for place in itertools.count():  # grows while it is read
                yield drawn[place]

        for number, found in enumerate(itertools.islice(self.log_probs(tokens()), len(drawn) + length)):
            if number >= len(drawn):
                scaled = found[FIRST_CHARACTER:].astype(np.float64) / max(temperature, 1e-30)
                likely = np.exp(scaled - scaled.max())
                drawn.append(FIRST_CHARACTER + int(random.choice(len(likely), p=likely / likely.sum())))
        return "".join(self.config["symbols"][each - FIRST_CHARACTER] for each in drawn[len(text) :])

    def bits_per_character(self, text: str) -> float:
        """Mean of -log2 P(character | those before it)."""
        ids = self.characters(text)
        total = sum(float(found[each]) for each, found in zip(ids, self.log_probs([BEGIN, *ids]), strict=False))
        return -total / len(ids) / math.log(2)

    def characters(self, text: str) -> list[int]:
        """Ids of characters."""
        symbols = self.config["symbols"] if self.kind == "language_model" else self.reader["symbols"]
        return [symbols.find(each) + FIRST_CHARACTER if each in symbols else UNKNOWN for each in text]

    # Inputs

    def read(self, source: str) -> Array:
        """An input from a file, or from a text where the model reads texts."""
        match self.reader["kind"]:
            case "subwords":
                return self.encode([source])[0]
            case "characters":
                ids = self.characters(source.replace("\\n", "\n") if "\\" not in self.reader["symbols"] else source)
                if not ids:
                    raise Fault("the text is empty")
                return np.array(ids, np.int64)
        return read(Path(source), self.reader, self.config["input_shape"])


def padded(rows: Sequence[Array]) -> tuple[Array, Array]:
    """[S_i, ...] -> [B, S, ...] padded with 0, lengths [B]."""
    lengths = np.array([len(row) for row in rows], np.int64)
    source = np.zeros((len(rows), lengths.max(), *rows[0].shape[1:]), rows[0].dtype)
    for place, row in zip(source, rows, strict=True):
        place[: len(row)] = row
    return source, lengths
