"""Hard alignments and their error rate, by hand; the command line against attention itself."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.units import SourceVocabulary
from seq2seq.data.vocabulary import RightToLeft, Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.evaluation.alignments import (
    alignment_error_rate,
    hard_links,
    pharaoh,
    read_gold,
    spelled_pieces,
    word_of_each,
)
from seq2seq.model.seq2seq import build_model

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"


def test_pieces_belong_to_the_words_that_white_space_separates() -> None:
    assert word_of_each(["▁ein", "▁", "(", "Hund", ")", "▁x"]) == [0, 1, 1, 1, 1, 2]
    assert word_of_each(["ein", "e", "▁x"]) == [0, 0, 1]


def test_links_go_where_attention_is_largest() -> None:
    source, target = ["▁a", "▁b", "c", "</s>"], ["▁x", "y", "▁z", "</s>"]
    weights = [[0.6, 0.2, 0.1, 0.1], [0.1, 0.2, 0.4, 0.3], [0.1, 0.1, 0.2, 0.6], [0.0, 0.0, 0.0, 1.0]]
    assert hard_links(source, target, weights) == {(0, 0), (1, 0)}
    assert pharaoh({(1, 0), (0, 0), (0, 10), (0, 2)}) == "0-0 0-2 0-10 1-0"


def test_features_are_no_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model reads two features and then the one word: no link may lead to another word than that."""
    stored = seq2seq.Translator.from_pretrained(STORED)
    features = Vocabulary.train(["V PST"], VocabularyConfig(size=8, model_type="word"))
    source = SourceVocabulary(stored.source_vocabulary, features)  # type: ignore[arg-type]
    config = replace(stored.config, tie="two_way")
    model = build_model(config, len(source), len(stored.target_vocabulary))
    translator = seq2seq.Translator(model, config, source, stored.target_vocabulary)
    translator.save_pretrained(tmp_path / "run")
    (tmp_path / "source").write_text("ba\tV;PST\n" * 2)
    (tmp_path / "target").write_text("BA\nKO LU MI\n")
    words = ["--source-file", str(tmp_path / "source"), "--target-file", str(tmp_path / "target")]
    assert main(["align", str(tmp_path / "run"), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, alignment in zip(lines, translator.align(["ba\tV;PST"] * 2, ["BA", "KO LU MI"]), strict=True):
        assert alignment.source[:2] == ["▁V", "▁PST"]
        best = [row.index(max(row)) for row in alignment.weights[:-1]]
        of_word = [place for place in best if 2 <= place < len(alignment.source) - 1]
        assert bool(line) == bool(of_word)
        assert {link.split("-")[0] for link in line.split()} <= {"0"}
    pieces, target = ["▁V", "▁PST", "b", "a", "</s>"], ["▁B", "▁A", "▁K", "</s>"]
    weights = [[0.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    assert hard_links(pieces, target, weights, features=2) == {(0, 0)}


@pytest.mark.parametrize("order", ["left_to_right", "right_to_left"])
@pytest.mark.parametrize("kind", ["word", "char", "unigram"])
def test_unknown_words_and_tags_shift_no_number(
    kind: Any, order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pharaoh's numbers, beside those of words found in the pieces as the text itself spells them."""
    lines = ["ba ko mi lu te so ra ne", "mi lu ba ko"]
    settings = VocabularyConfig(size=30, model_type=kind, byte_fallback=False, normalization="identity")
    source = Vocabulary.train(lines, settings, tags=["<up>"])
    target: Vocabulary = Vocabulary.train([line.upper() for line in lines], settings)
    config = replace(seq2seq.load(STORED).config, tie="none")
    reader = RightToLeft(target) if order == "right_to_left" else target
    model = build_model(config, len(source), len(target))
    seq2seq.Translator(model, config, source, reader).save_pretrained(tmp_path / "run")
    (tmp_path / "bare").write_text("ba § mi ẞ§ lu\n")
    (tmp_path / "tagged").write_text("<up> ba § mi ẞ§ lu\n")
    (tmp_path / "target").write_text("BA § KO § MI\n")
    answers = []
    for words in (["bare", "--tag", "<up>"], ["tagged"]):
        given = ["--source-file", str(tmp_path / words[0]), "--target-file", str(tmp_path / "target"), *words[1:]]
        assert main(["align", str(tmp_path / "run"), *given]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    (tmp_path / "gold").write_text("5-0\n")
    assert main(["align", str(tmp_path / "run"), *given, "--gold", str(tmp_path / "gold")]) == 2
    assert "gold, line 1: 5-0 is outside of 5 and 5 words" in capsys.readouterr().err, "the tag is no word"
    alignment = seq2seq.load(tmp_path / "run").align(["<up> ba § mi ẞ§ lu"], ["BA § KO § MI"])[0]
    of_source = {
        "word": [None, 0, 1, 2, 3, 4, None],
        "char": [None, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, None],
    }.get(kind)
    of_target = {"word": [0, 1, 2, 3, 4], "char": [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]}.get(kind)
    text = "ba § mi ẞ§ lu"
    spelled = spelled_pieces([*source.pieces(source.encode(text)), "</s>"], source, text)
    assert spelled[-1] == "</s>"
    assert [number for number, _ in itertools.groupby(word_of_each(spelled[:-1]))] == list(range(5))
    if of_source is None or of_target is None:  # how they are cut is the vocabulary's choice
        assert {int(link.split("-")[0]) for link in answers[0].split()} <= set(range(5))
        return
    best = [row.index(max(row)) for row in alignment.weights[:-1]]
    found = {(of_source[place], word) for place, word in zip(best, of_target, strict=True)}
    expected = sorted((one, other) for one, other in found if one is not None)
    assert answers[0].split() == [f"{one}-{other}" for one, other in expected]


def test_the_error_rate_by_hand() -> None:
    gold = read_gold(["0-0 1?1 2-2", ""], "gold")
    assert gold == [({(0, 0), (2, 2)}, {(0, 0), (1, 1), (2, 2)}), (set(), set())]
    # A = 3 links, one sure, one possible: 1 - (1 + 2) / (3 + 2)
    assert alignment_error_rate([{(0, 0), (1, 1), (0, 2)}, set()], gold) == pytest.approx(100 * (1 - 3 / 5))
    assert alignment_error_rate([{(0, 0), (2, 2)}, set()], gold) == 0
    with pytest.raises(UserError, match="gold, line 2: '1:1' is no link like 0-0"):
        read_gold(["", "1:1"], "gold")
    with pytest.raises(UserError, match="1 lines are aligned, but there are 2 lines of gold"):
        alignment_error_rate([set()], gold)


def test_the_command_line_prints_alignments_and_their_error_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, targets = ["ba ko mi", "", "lu te"], ["BA KO MI", "", "LU TE"]
    words = ["align", str(STORED)]
    for name, lines in (("source", sources), ("target", targets)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
        words += [f"--{name}-file", str(tmp_path / name)]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    for line, alignment in zip(printed, seq2seq.load(STORED).align(sources, targets), strict=True):
        expected = set()
        for row, piece in enumerate(alignment.target[:-1]):
            best = alignment.weights[row].index(max(alignment.weights[row]))
            if alignment.source[best] != "</s>" and piece:
                to = sum(each.startswith("▁") for each in alignment.target[: row + 1]) - 1
                expected.add((sum(each.startswith("▁") for each in alignment.source[: best + 1]) - 1, to))
        assert line == pharaoh(expected)
    (tmp_path / "gold").write_text("".join(line + "\n" for line in printed))
    assert main([*words, "--gold", str(tmp_path / "gold")]) == 0
    assert capsys.readouterr().out == "AER 0.00 %\n"
    (tmp_path / "gold").write_text("0\n")
    assert main([*words, "--gold", str(tmp_path / "gold")]) == 2
    assert f"{tmp_path / 'gold'}, line 1: '0' is no link" in capsys.readouterr().err
    (tmp_path / "gold").write_text("1-1 3-3\n\n\n")
    assert main([*words, "--gold", str(tmp_path / "gold")]) == 2
    assert "gold, line 1: 3-3 is outside of 3 and 3 words, from 0 on" in capsys.readouterr().err
