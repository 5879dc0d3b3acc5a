"""Labelled spans of a sequence, such as the slots of a request, from labels B-NAME, I-NAME and O."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from seq2seq.errors import UserError, check, check_argument


def are_spans(labels: Iterable[str]) -> bool:
    """Whether labels are those of spans."""
    return all(label == "O" or label.startswith(("B-", "I-")) for label in labels)


def span_f1(answers: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]) -> float:
    """F1 of spans over all sequences, in percent: a span is right whose name, first and last step are as expected. By
    seqeval, which counts as the script conlleval does. Raises UserError where seqeval is not installed."""
    for name, given in (("answers", answers), ("expected", expected)):
        check_argument("span_f1", name, given, list, tuple)
    try:
        from seqeval.metrics import f1_score
    except ImportError:
        raise UserError("F1 of slots needs seqeval: pip install 'seq2seq[tasks]'") from None
    with warnings.catch_warnings():  # of answers without any span, whose F1 is 0
        warnings.simplefilter("ignore")
        check(len(answers) > 0, "span_f1: answers must not be empty")
        return 100 * float(f1_score([list(each) for each in expected], [list(each) for each in answers]))
