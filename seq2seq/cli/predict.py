"""seq2seq predict, seq2seq sample."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from seq2seq.cli.arguments import named, number_within
from seq2seq.cli.verbs import add_input_length, add_search_options, add_verb, own_build
from seq2seq.config import COUNTS, COUNTS_OR_NONE, SEARCH, SEEDS, Real


def add_predict(verbs: Any) -> None:
    """Adds the verb."""
    predict = add_verb(
        verbs,
        "predict",
        "Answer inputs with a run of any kind: a translation, caption, transcript, label, labels per step, or values. "
        "Writes a line per input: the file's name, or the line's number, a tab, the answer.",
        _predict,
    )
    predict.add_argument(
        "files",
        nargs="*",
        default=[],
        type=named,
        metavar="INPUT",
        help="files of text, a text per line, for a run that reads text; else images, folders of frames, WAV files, or "
        "numbers as .npy or .csv with a row per step; - is standard input: a text, or a file's name, per line "
        "(default: -)",
    )
    add_input_length(predict)
    add_search_options(predict)
    predict.add_argument(
        "--n-best",
        type=number_within(SEARCH["beam_size"]),
        metavar="K",
        help="the K best texts or labels, a line each: name or number, rank, score (of labels: probability), answer",
    )
    predict.add_argument("--json", action="store_true", help="write a JSON object per input, with scores")


def add_sample(verbs: Any) -> None:
    """Adds the verb."""
    sample = add_verb(verbs, "sample", "Go on writing a text with a language model.", _sample)
    sample.add_argument("text", metavar="TEXT", help="what the samples begin with")
    sample.add_argument(
        "--length",
        type=number_within(COUNTS_OR_NONE),
        default=200,
        metavar="N",
        help="characters behind TEXT (default: 200)",
    )
    sample.add_argument(
        "--temperature",
        type=number_within(Real(0, 1_000, without=(0,))),
        default=1.0,
        metavar="T",
        help="below 1 keeps to likely characters, above 1 is more surprising (default: 1)",
    )
    sample.add_argument(
        "--seed",
        type=number_within(SEEDS),
        default=1,
        metavar="S",
        help="the same gives the same text (default: 1)",
    )
    sample.add_argument(
        "--count",
        type=number_within(COUNTS),
        default=1,
        metavar="K",
        help="samples, with seeds S, S + 1 and so on; an empty line between them (default: 1)",
    )


def _predict(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports

    with quick_imports():
        from seq2seq.cli.answers import write_answers
        from seq2seq.inference.load import load
        from seq2seq.runtime.device import prepare_process
    prepare_process()
    write_answers(load(options.model, options.device, build=own_build(options)), options)


def _sample(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports

    with quick_imports():
        from seq2seq.inference.load import load
        from seq2seq.runtime.device import prepare_process
    prepare_process()
    model = load(options.model, options.device, kind="language_model", build=own_build(options))
    for number in range(options.count):
        seed = (options.seed + number) % (SEEDS.highest + 1)
        text = options.text + model.sample(options.text, options.length, options.temperature, seed)
        between = "\n" if number else ""
        sys.stdout.buffer.write(f"{between}{text}\n".encode("utf-8", errors="replace"))
        sys.stdout.buffer.flush()
