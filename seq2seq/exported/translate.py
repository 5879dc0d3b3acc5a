#!/usr/bin/env python3
"""Answers with the model that lies beside this file. It needs numpy and onnxruntime; sentencepiece where the model
writes or reads text, pillow where it reads pictures (see requirements.txt).

    python translate.py < sentences.txt > translations.txt
    python translate.py a.wav b.wav

`Exported(folder)` gives the same to a program of one's own. B sentences, S steps, K hypotheses of a beam, V vocabulary.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

try:
    import numpy as np

    if __package__:
        from seq2seq.exported.beam import Beam, Search
        from seq2seq.exported.inputs import Fault, lines_of, names_of, real, whole
        from seq2seq.exported.parts import BEGIN, END, PAD, ROWS, Array, Graphs, padded
    else:  # beside the exported model
        from beam import Beam, Search  # type: ignore[import-not-found, no-redef]
        from inputs import Fault, lines_of, names_of, real, whole  # type: ignore[import-not-found, no-redef]
        from parts import BEGIN, END, PAD, ROWS, Array, Graphs, padded  # type: ignore[import-not-found, no-redef]
except (ImportError, SyntaxError, NameError, ValueError) as error:
    if __name__ != "__main__":
        raise
    print(
        f"translate.py: error: {error}; copy the export's whole folder, and pip install -r requirements.txt",
        file=sys.stderr,
    )
    sys.exit(2)

HYPOTHESES, LINES = 2_048, 1_024
"""Hypotheses that are computed together, and lines that are read ahead."""
SAMPLING = ("length", "temperature", "seed")


class Output(NamedTuple):
    """One output for one input."""

    text: str
    score: float
    log_probability: float
    tokens: list[int]
    truncated: bool = False


class Exported(Graphs):
    """An exported model of any kind. Several threads may call it at once."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        super().__init__(folder, threads)
        path = self.folder / "generation_config.json"
        searches = self.kind in ("translator", "generator")
        try:
            self.defaults = Search(**json.loads(path.read_text(encoding="utf-8"))) if searches else Search()
        except (OSError, ValueError, TypeError) as error:
            raise Fault(f"{path}: missing or damaged ({error}); export the run again") from None

    def translate(self, texts: Sequence[str], **settings: Any) -> list[str]:
        """The best output of each text. Settings: fields of Search."""
        return [best[0].text for best in self.search(texts, **settings)]

    def search(self, inputs: Sequence[Any], n_best: int = 1, **settings: Any) -> list[list[Output]]:
        """The n best outputs of each input: texts for a translator, else what `read` gives. Blank in, blank out."""
        search = self.defaults._replace(**settings)
        search = search._replace(
            beam_size=search.beam_size if "beam_size" in settings else max(search.beam_size, n_best)
        )
        if n_best > search.beam_size:
            raise Fault(f"n_best {n_best} is more than beam_size {search.beam_size}")
        translates = self.kind == "translator"
        for number, text in enumerate(inputs if translates else (), 1):
            self.check_tag(text, f"text {number}")
        rows, cut = self.shortened(self.encode(inputs)) if translates else (list(inputs), [False] * len(inputs))
        results: list[list[Output]] = [[Output("", 0.0, 0.0, [])] for _ in rows]
        lengths = {number: len(row) for number, row in enumerate(rows) if not translates or len(row) > 1}
        for batch in self.batches(lengths, min(ROWS, max(1, HYPOTHESES // search.beam_size))):
            found = self.decode([rows[number] for number in batch], search, n_best)
            for number, best in zip(batch, found, strict=True):
                results[number] = [each._replace(truncated=cut[number]) for each in best] or results[number]
        return results

    def check_tag(self, text: str, place: str) -> None:
        """Raises Fault, naming the place, where a text lacks its tag and the model was trained on none without."""
        needed = self.config.get("needed_tags", [])
        if needed and text.strip() and not tag_apart(text, needed)[0]:
            raise Fault(f"{place}: begins with none of the tags that this model reads, {', '.join(needed)}")

    def shortened(self, rows: Sequence[Array]) -> tuple[list[Array], list[bool]]:
        """Ids of texts, no more of each than the model is set to read; and which were longer."""
        limit = self.config["max_input_length"]
        cut = [len(row) > limit + 1 for row in rows]
        return [np.append(row[:limit], END) if long else row for row, long in zip(rows, cut, strict=True)], cut

    def decode(self, rows: Sequence[Array], search: Search, n_best: int) -> list[list[Output]]:
        """The n best outputs of inputs that are searched together."""
        assert self.target is not None
        source, lengths = padded(rows)
        counts = lengths if self.config["steps"] is None else np.full(len(rows), self.config["steps"])
        state = self.encoded(source, counts)
        state.pop("ctc", None), state.pop("ctc.mask", None)
        beam = Beam(search.limits(counts), search, n_best, self.config["vocabulary_size"])
        found = beam.run(self.step, state, self.shared)
        texts = iter(self.target.decode([each.tokens for best in found for each in best]))
        return [[Output(next(texts), *each) for each in best] for best in found]

    def encoded(self, source: Array, lengths: Array) -> dict[str, Array]:
        """What the encoder gives, by name: the state before the first token."""
        names = self.config["graphs"]["encoder"]["outputs"]
        found = self.run("encoder", names, {"source": source, "lengths": lengths})
        return dict(zip(names, found, strict=True))

    def step(self, tokens: Array, count: int, state: dict[str, Array]) -> tuple[Array, Array, Array, dict[str, Array]]:
        """tokens [b, K] -> log-probabilities and tokens [b, K, count] of the best continuations, log P(end of sentence)
        [b, K], the state after them."""
        given = {"tokens": tokens, "candidates": np.empty(count, np.int64), **state}
        names = ["log_probs", "next", "end", *(f"{name}.next" for name in state if name not in self.shared)]
        log_probs, following, end, *after = self.run("step", names, given)
        changed = (name for name in state if name not in self.shared)
        return log_probs, following, end, {**state, **dict(zip(changed, after, strict=True))}

    def attention(self, row: Array, tokens: Sequence[int]) -> Array:
        """[T, S] what each token of an output, end of sentence last, looked at in an input; S is 0 where the model does
        not attend."""
        state, looked = self.encoded(*padded([row])), []
        state = {name: state[name] for name in self.state}
        for token in [BEGIN, *tokens]:
            given = {"tokens": np.array([[token]]), "candidates": np.empty(1, np.int64), **state}
            changing = [name for name in self.state if name not in self.shared]
            weights, *after = self.run("step", ["attention", *(f"{name}.next" for name in changing)], given)
            state |= dict(zip(changing, after, strict=True))
            looked.append(weights[0, 0])
        return np.stack(looked)

    def ctc(self, inputs: Sequence[Array]) -> list[str]:
        """Texts by the CTC head alone, of the most probable alignment: repeats merged, blanks dropped."""
        assert self.target is not None
        found: list[list[int]] = []
        for row in inputs:
            state = self.encoded(*padded([row]))
            best = np.where(state["ctc.mask"], state["ctc"].argmax(-1), PAD)[0].tolist()
            found.append([each for each, before in zip(best, [PAD, *best], strict=False) if each not in (before, PAD)])
        return self.target.decode(found)


# The command line


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        hint = "; inputs that begin with a dash come after --" if message.startswith("unrecognized") else ""
        self.exit(2, f"translate.py: error: {message}{hint} (translate.py --help lists the options)\n")


def parser() -> argparse.ArgumentParser:
    """The options, which are those of `seq2seq translate`, `predict` and `sample`."""
    found = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument(
        "inputs",
        nargs="*",
        help="files of text, of pictures, sound or numbers; - is standard input; "
        "for a language model the text to go on from",
    )
    found.add_argument("--beam-size", type=whole(1, 1_000), metavar="N", help="hypotheses kept, 1 = greedy")
    found.add_argument("--length-penalty", type=real(0, 100), metavar="A", help="exponent of the length")
    found.add_argument("--length-penalty-kind", choices=("average", "gnmt"))
    found.add_argument("--max-length", type=whole(1, 10_000), metavar="N", help="longest output in tokens")
    found.add_argument("--max-length-ratio", type=real(1e-9, 1_000), metavar="R", help="per source token, plus 10")
    found.add_argument("--max-input-length", type=whole(1, 1_000_000), metavar="N", help="longer inputs are cut")
    found.add_argument("--n-best", type=whole(1, 1_000), metavar="K", help="the K best: name, rank, score, answer")
    found.add_argument("--split-sentences", action="store_true", help="translate the sentences of each line one by one")
    found.add_argument("--scores", action="store_true", help="the score before each translation")
    found.add_argument("--ctc", action="store_true", help="by the CTC head alone, where the model has one")
    found.add_argument("--length", type=whole(0, 10**9), metavar="N", help="characters to go on by (default: 200)")
    found.add_argument("--temperature", type=real(1e-30, 1_000), metavar="T", help="of characters (default: 1)")
    found.add_argument("--seed", type=whole(0, 2**63 - 1), metavar="S", help="of characters (default: 1)")
    found.add_argument("--threads", type=whole(0, 1_000), default=0, metavar="N", help="0: as many as processors")
    return found


def answers(model: Exported, options: argparse.Namespace) -> Iterator[str]:
    """What is written for each input."""
    check_options(model, options)
    settings = given_of(options, Search._fields)
    if model.kind == "language_model":
        if not options.inputs:
            raise Fault("give the text to go on from")
        for text in options.inputs:
            yield text + model.sample(text, **given_of(options, SAMPLING)) + "\n"
        return
    if options.split_sentences:
        yield from by_sentences(model, checked_lines(model, options.inputs), settings)
        return
    texts = model.kind == "translator" or model.reader["kind"] in ("characters", "subwords")
    named: Iterator[tuple[Any, str]] = (
        enumerate(checked_lines(model, options.inputs), 1)
        if texts
        else ((name, name) for name in names_of(options.inputs))
    )
    most = min(LINES, 8 * max(1, HYPOTHESES // settings.get("beam_size", model.defaults.beam_size)))
    while group := list(itertools.islice(named, most)):
        names, given = zip(*group, strict=True)
        if model.kind == "predictor":
            outputs = model.predict([model.read(each) for each in given])
            yield from (
                f"{cell(name)}\t{shown(model.meaning(each))}\n" for name, each in zip(names, outputs, strict=True)
            )
            continue
        inputs = list(given) if model.kind == "translator" else [model.read(each) for each in given]
        if options.ctc:
            yield from (f"{cell(name)}\t{cell(text)}\n" for name, text in zip(names, model.ctc(inputs), strict=True))
            continue
        found = model.search(inputs, options.n_best or 1, **settings)
        for name, best in zip(names, found, strict=True):
            yield written(name, best, options, model.kind == "translator")


def checked_lines(model: Exported, files: Sequence[str]) -> Iterator[str]:
    """The lines of files. Raises Fault at one that lacks the tag that the model needs."""
    for number, line in enumerate(lines_of(files), 1):
        model.check_tag(line, f"line {number}")
        yield line


def given_of(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def check_options(model: Exported, options: argparse.Namespace) -> None:
    """Raises Fault where an option is of no use to this kind of model, or beside another one."""
    has_ctc = "ctc" in model.config["graphs"].get("encoder", {"outputs": ()})["outputs"]
    translates, samples = model.kind == "translator", model.kind == "language_model"
    searches = model.kind in ("translator", "generator")
    searching = options.n_best or options.scores or given_of(options, Search._fields)
    for given, fits, message in (
        (options.ctc, has_ctc, "--ctc: this model has no CTC head"),
        (options.split_sentences, translates, "--split-sentences is for models that translate"),
        (options.max_input_length, translates, "--max-input-length is for models that translate"),
        (searching, searches, "--n-best, --scores and the options of a search: for models that write text"),
        (given_of(options, SAMPLING), samples, "--length, --temperature, --seed: for language models"),
        (options.ctc, not searching, "--ctc searches nothing; leave --n-best, --scores, --beam-size and the like out"),
        (options.split_sentences, not (options.n_best or options.scores), "--split-sentences goes with neither "
         "--n-best nor --scores"),
    ):  # fmt: skip
        if given and not fits:
            raise Fault(message)


def by_sentences(model: Exported, lines: Iterator[str], settings: dict[str, Any]) -> Iterator[str]:
    """Lines translated sentence by sentence, each with its line's tag, with their own white space."""
    try:
        import sentencex
    except ImportError:
        raise Fault("--split-sentences needs sentencex: pip install sentencex") from None
    assert model.source is not None
    language, tags = model.config["languages"].get("source", "en"), model.source.tags()
    while group := list(itertools.islice(lines, LINES // 8)):
        apart = [tag_apart(line, tags) for line in group]
        texts = [text for _, text in apart]
        cut = [list(sentencex.segment(language, text)) if text.strip() else [text] for text in texts]
        pieces = [found if "".join(found) == text else [text] for found, text in zip(cut, texts, strict=True)]
        sentences = [
            tag + piece.strip() for (tag, _), line in zip(apart, pieces, strict=True) for piece in line if piece.strip()
        ]
        translated = iter(model.translate(sentences, **settings))
        for line in pieces:
            around = (piece.partition(piece.strip()) if piece.strip() else (piece, "", "") for piece in line)
            yield "".join(before + (next(translated) if text else "") + after for before, text, after in around) + "\n"


def tag_apart(line: str, tags: Sequence[str]) -> tuple[str, str]:
    """The tag that a line begins with, a space behind it, and the rest; empty where it is none of them."""
    tag, _, rest = line.lstrip().partition(" ")
    return (f"{tag} ", rest) if tag in tags else ("", line)


def written(name: Any, best: list[Output], options: argparse.Namespace, translates: bool) -> str:
    """The lines of one input."""
    if options.n_best:
        rows = [f"{cell(name)}\t{rank}\t{each.score:.6f}\t{cell(each.text)}\n" for rank, each in enumerate(best, 1)]
        return "".join(rows)
    text = best[0].text
    if options.scores:
        return f"{best[0].score:.6f}\t{cell(text)}\n"
    return f"{text}\n" if translates else f"{cell(name)}\t{cell(text)}\n"


def cell(content: Any) -> str:
    """A text, or what names an input, in a table."""
    return str(content).replace("\t", " ").replace("\n", " ")


def shown(answer: Any) -> str:
    """A class's name, names of steps, or numbers, in a line."""
    if isinstance(answer, str):
        return cell(answer)
    if isinstance(answer, list):
        return cell(" ".join(answer))
    return " | ".join(" ".join(f"{value:.6g}" for value in row) for row in np.atleast_2d(answer))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 where something is to be mended, 128 + number after a signal."""
    options = parser().parse_args(arguments)
    try:
        if sys.stdout is None:
            raise Fault("standard output is closed: nothing can be written")
        model = Exported(Path(__file__).resolve().parent, options.threads)
        if options.max_input_length:
            model.config["max_input_length"] = options.max_input_length
        for line in answers(model, options):
            sys.stdout.buffer.write(line.encode("utf-8", errors="replace"))
            if len(line) and sys.stdout.isatty():
                sys.stdout.buffer.flush()
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130
    except (Fault, OSError) as error:
        named = isinstance(error, OSError) and error.filename
        message = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[union-attr]
        print(f"translate.py: error: {message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
