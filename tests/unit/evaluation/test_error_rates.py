"""Error rates against counts made by hand."""

import pytest

from seq2seq.errors import UserError
from seq2seq.evaluation.error_rates import character_error_rate, edits, error_rates


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
