"""Groups of sentences and differences of texts, by hand."""

from collections import Counter

from seq2seq.evaluation.breakdown import by_length, by_mean_word, by_rarest_word, word_counts
from seq2seq.evaluation.differences import Part, marked


def test_groups_of_lengths() -> None:
    texts = ["a " * count for count in (0, 1, 5, 6, 50, 51, 900)]
    assert by_length(texts, str.split) == [("1–5", [0, 1, 2]), ("6–10", [3]), ("31–50", [4]), ("51+", [5, 6])]


def test_groups_of_frequencies() -> None:
    counts = word_counts(["the dog the", "the cat"], str.split)
    assert counts == Counter(the=3, dog=1, cat=1)
    texts = ["the the", "the dog", "the cow", ""]
    assert by_rarest_word(texts, counts, str.split) == [("0", [2, 3]), ("1", [1]), ("2–4", [0])]
    # by occurrences plus 1: (4 x 4) ** 0.5 = 4, (4 x 2) ** 0.5 = 2.8, (4 x 1) ** 0.5 = 2; less 1: 3, 1.8, 1
    assert by_mean_word(texts, counts, str.split) == [("0", [3]), ("1", [1, 2]), ("2–4", [0])]


def test_words_that_differ_are_marked() -> None:
    assert marked("a b  c d", "a x c") == [Part("a", False), Part("b", True), Part("c", False), Part("d", True)]
    assert marked("a x c", "a b c d") == [Part("a", False), Part("x", True), Part("c", False)]
    assert marked("", "a") == []
