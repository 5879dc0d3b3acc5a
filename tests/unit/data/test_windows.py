"""Units of language models and windows of a text, against the text itself."""

import pytest
import torch

from seq2seq.data.characters import Characters
from seq2seq.data.language_units import Pieces, preceding
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.data.windows import TextWindows
from seq2seq.runtime.distributed import World

IDS = list(range(10, 113))


def test_windows_hold_the_text_and_what_stands_before_it() -> None:
    batches = list(TextWindows(IDS, window=7, tokens=30, seed=1).iterate(0))
    assert {batch.inputs.shape for batch in batches} == {torch.Size([4, 7])}  # one shape, for recorded kernels
    seen = torch.cat([batch.targets for batch in batches]).tolist()
    assert all(row == list(range(row[0], row[0] + 7)) for row in seen)
    assert len({row[0] for row in seen}) == len(seen) == 12
    for batch in batches:
        expected = torch.where(batch.targets == IDS[0], BOS_ID, batch.targets - 1)
        assert torch.equal(batch.inputs, expected)


def test_each_epoch_cuts_the_text_at_other_places_and_can_be_entered_anywhere() -> None:
    windows = TextWindows(IDS, window=7, tokens=30, seed=1)
    begins = {int(batch.targets[0, 0]) % 7 for epoch in range(20) for batch in windows.iterate(epoch)}
    assert begins == set(range(7))
    whole = [batch.targets.tolist() for batch in windows.iterate(3)]
    assert [batch.targets.tolist() for batch in windows.iterate(3, start=1)] == whole[1:]
    assert len(whole) == windows.batches_per_epoch


def test_processes_share_the_windows_of_an_epoch() -> None:
    ranks = [TextWindows(IDS, 7, 14, 1, World(rank, 2)) for rank in range(2)]
    first, second = ([int(row) for batch in each.iterate(0) for row in batch.targets[:, 0]] for each in ranks)
    assert len(first) == len(second) == 6
    assert not set(first) & set(second)


@pytest.mark.parametrize(("length", "window"), [(1, 5), (5, 5), (9, 5), (10, 5)])
def test_short_texts_are_one_window(length: int, window: int) -> None:
    windows = TextWindows(IDS[:length], window, tokens=100, seed=1)
    (batch,) = windows.iterate(0)
    assert batch.targets.shape == (1, min(length, window))


def test_pieces_know_lines() -> None:
    lines = ["the cat sat", "a dog ran"]
    pieces = Pieces(Vocabulary.train(lines * 9, VocabularyConfig(40, "word", byte_fallback=False)))
    text = "a cat ran\nthe dog sat\n"
    ids = pieces.encode(text)
    assert [place for place, token in enumerate(ids) if token == EOS_ID] == [3, 7]
    assert pieces.decode(ids) == text
    before = preceding(ids)
    assert [before[place] for place in (0, 4)] == [BOS_ID, BOS_ID]  # as a translator's decoder begins a sentence
    assert before[1:4] + before[5:] == ids[:3] + ids[4:7]
    assert pieces.unknown(["a bird ran", "one cat"]) == ["bird", "one"]
    assert Characters("abc").unknown(["cab", "bed"]) == ["d", "e"]
