"""Error rates against counts made by hand."""

from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.evaluation.error_rates import character_error_rate, edits, error_rates
from seq2seq.evaluation.metrics import corpus_scores, exact_match


def test_edits() -> None:
    assert edits("a b c", "a b c") == 0
    assert edits("a x c d", "a b c") == 2  # one substitution, one insertion
    assert edits("", "a b") == 2
    assert edits("a b", "") == 2


def test_characters() -> None:
    # One of "ab c" (space included) is wrong; of the second line's references "xyz" is nearer, with one deletion.
    assert character_error_rate(["ab d", "xy"], [["ab c"], ["uvw", "xyz"]]) == pytest.approx(100 * 2 / (4 + 3))
    assert character_error_rate(["a \t b"], [["a\u00a0b"]]) == 0  # kinds of white space aside
    assert character_error_rate(["ab"], [[""]]) == 200


def test_the_nearest_reference_counts() -> None:
    rates = error_rates(["a b c", "x y"], [["a b", "a b c d"], ["x y"]])
    assert rates.token == pytest.approx(100 * 1 / (2 + 2))  # of two equally near references the shorter
    assert rates.sequence == 50.0
    assert rates.describe("phoneme") == "phoneme error rate 25.00 %, sequence error rate 50.00 % of 2"


def test_unequal_numbers_of_lines() -> None:
    with pytest.raises(UserError, match="1 hypotheses but 2"):
        error_rates(["a"], [["a"], ["b"]])


@pytest.mark.parametrize("figure", [error_rates, exact_match, corpus_scores])
@pytest.mark.parametrize(
    ("hypotheses", "references", "told"),
    [
        (None, None, "hypotheses must be a list of texts"),
        ("a", [["a"]], "hypotheses must be a list of texts"),
        (["a"], [], "1 hypotheses but 0 lines"),
        (["a"], [None], "the references of line 1 must be a list of texts, not None"),
        (["a"], ["a"], "the references of line 1 must be a list of texts, not 'a'"),
        (["a", 5], [["a"], ["b"]], "hypothesis 2 is of type int"),
        (["a"], [["a", 5]], "the references of line 1"),
    ],
)
def test_what_is_no_text_is_named(figure: Any, hypotheses: Any, references: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        figure(hypotheses, references)


def test_a_line_without_a_reference_is_named() -> None:
    with pytest.raises(UserError, match="line 2 has no reference"):
        error_rates(["a", "b"], [["a"], []])
