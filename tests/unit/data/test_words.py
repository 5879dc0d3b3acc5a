"""Words with their characters: a row per word, whatever the words are."""

import pytest

from seq2seq.data.characters import Characters
from seq2seq.data.symbols import EOS_ID, PAD_ID, UNK_ID
from seq2seq.data.words import train_words, word_ids

VOCABULARY, SYMBOLS = train_words(["How far is it ?", "how FAR ½ ½", "½"], 100, seed=1)
CHARACTERS = Characters(SYMBOLS)


def ids(text: str, length: int = 4) -> list[list[int]]:
    return word_ids(VOCABULARY, CHARACTERS, length, text).tolist()  # type: ignore[no-any-return]


def test_words_are_read_in_small_letters_and_characters_as_they_stand() -> None:
    (how, far), (loud, _) = ids("how far"), ids("HOW far")
    assert how[0] == loud[0] > EOS_ID
    assert how[0] != far[0]
    assert how[1:] == [*CHARACTERS.encode("how"), PAD_ID]
    assert loud[1:] == [*CHARACTERS.encode("HOW"), PAD_ID]


@pytest.mark.parametrize(
    "text", ["how unheard-of", "how ½", "how \u00ad", "how \u0301", "how <s>", "how \ufdfa", "\thow  far "]
)
def test_there_is_a_row_per_word(text: str) -> None:
    """Also where normalisation makes several words, or none, of one."""
    rows = ids(text)
    assert len(rows) == len(text.split()) == 2
    assert rows[0] == ids("how")[0]
    assert rows[1][0] == UNK_ID or rows[1][0] > EOS_ID


def test_of_a_long_word_begin_and_end_are_read() -> None:
    assert ids("howfaris")[0][1:] == CHARACTERS.encode("hois")
    assert ids("howfaris", 5)[0][1:] == CHARACTERS.encode("horis")
    assert ids("howfaris", 1)[0][1:] == CHARACTERS.encode("s")


def test_a_blank_text_is_the_end_of_the_sentence_alone() -> None:
    assert ids("") == ids(" \u00a0") == [[EOS_ID] + [PAD_ID] * 4]
