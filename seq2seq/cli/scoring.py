"""Which figures `seq2seq evaluate` gives: its own by name, and those of scorers from outside. Needs no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named

if TYPE_CHECKING:
    from seq2seq.evaluation.scorers import Scorer

METRICS = ("bleu", "chrf", "chrf++", "ter", "accuracy", "wer", "cer", "per")
OF_CAPTIONS = ("bleu-1", "bleu-2", "bleu-3", "bleu-4", "meteor", "rouge-l", "cider")
"""Names of figures that --metrics takes; the latter are of words alone, in small letters."""
COMET = "comet"
OWN = (*METRICS, *OF_CAPTIONS)


def add_scoring_options(evaluate: argparse.ArgumentParser) -> None:
    """Which figures."""
    evaluate.add_argument(
        "--metrics",
        type=metrics_named,
        metavar="NAME,...",
        help=f"figures of texts, with commas between them, instead of the usual ones: {', '.join(METRICS)}; comet, "
        "where its package and its model are installed; of captions, without case and punctuation: "
        f"{', '.join(OF_CAPTIONS)}; "
        "FILE.py:FUNCTION, a function of your own that gets lists of sources, hypotheses and lists of references, and "
        "gives a number, or one for each hypothesis. They are part of the names of the files",
    )
    evaluate.add_argument(
        "--scorer",
        type=named,
        action="append",
        default=[],
        metavar="COMMAND",
        help="a program of your own that gives a further figure: it reads lines of source, hypothesis and references, "
        "with tabs between them, and writes a number for each, whose mean is the figure; may be given several times",
    )


def metrics_named(text: str) -> list[str]:
    """The type of the option. Names are in small letters; FILE.py:FUNCTION stays as it is."""
    names = [name.strip() if ".py:" in name else name.strip().lower() for name in text.split(",")]
    unknown = [name for name in names if name not in (*OWN, COMET) and ".py:" not in name]
    if unknown:
        known = f"{', '.join((*OWN, COMET))}, FILE.py:FUNCTION"
        raise argparse.ArgumentTypeError(f"must be some of {known}, got {unknown[0][:40]!r}")
    return list(dict.fromkeys(names))


def own_metrics(options: argparse.Namespace) -> list[str] | None:
    """The figures of this package that were named; None for the usual ones."""
    return options.metrics and [name for name in options.metrics if name in OWN]


def scoring_name(options: argparse.Namespace) -> dict[str, str]:
    """What the files' names say of the figures, where they are not the usual ones."""
    named = {"metrics": [Path(name).name for name in options.metrics or []], "scorer": options.scorer}
    return {option: "+".join(names) for option, names in named.items() if names}


def scorers_of(options: argparse.Namespace) -> list[Scorer]:
    """The scorers that the options name. Raises UserError where one cannot be used here: before all is answered, not
    after it."""
    from seq2seq.cli.user_code import function_in

    given: dict[str, Any] = {name: None for name in options.metrics or [] if name not in OWN}
    if not given and not options.scorer:
        return []
    from seq2seq.evaluation.scorers import comet_scorer, scorer_by_command, scorer_by_function

    found = [
        comet_scorer() if name == COMET else scorer_by_function(name, function_in(name, "--metrics")) for name in given
    ]
    return [*found, *map(scorer_by_command, dict.fromkeys(options.scorer))]
