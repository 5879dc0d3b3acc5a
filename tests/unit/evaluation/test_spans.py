"""F1 of spans by hand."""

import pytest

from seq2seq.evaluation.spans import are_spans, span_f1


def test_a_span_is_right_as_a_whole() -> None:
    """3 expected, 3 answered, 1 right: one has another name, one ends too late."""
    expected = [["B-a", "I-a", "O"], ["B-b", "O", "B-a", "O"]]
    answers = [["B-a", "I-a", "O"], ["B-c", "O", "B-a", "I-a"]]
    assert span_f1(answers, expected) == pytest.approx(100 / 3)
    assert span_f1([["O"]], [["B-a"]]) == 0


def test_spans_are_told_by_their_labels() -> None:
    assert are_spans(["O", "B-city", "I-city.name"])
    assert not are_spans(["O", "NOUN"])
