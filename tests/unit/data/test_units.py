"""Units of text, and the vocabulary of sources with features."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from seq2seq.config import to_dict, write_run_config
from seq2seq.data.corpus import DataConfig, tokenise
from seq2seq.data.symbols import UNK_ID
from seq2seq.data.units import (
    SourceVocabulary,
    Units,
    features_apart,
    guessed_units,
    train_unit_vocabularies,
    unit_vocabulary,
)
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.runs.layout import UNITS_FILE
from seq2seq.runs.vocabularies import load_vocabularies, save_vocabularies
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import new_vocabularies

SETTINGS = VocabularyConfig(size=8)


@pytest.mark.parametrize(
    ("units", "text", "pieces"),
    [
        ("characters", "ﬁx a\u0301b", ["ﬁ", "x", "▁", "a", "\u0301", "b"]),
        ("graphemes", "ﬁx a\u0301b", ["ﬁ", "x", "▁", "a\u0301", "b"]),
        ("symbols", "t͡ʃ ɔ̃ a1", ["▁t͡ʃ", "▁ɔ̃", "▁a1"]),
    ],
)
def test_units_keep_texts_as_they_are(units: Units, text: str, pieces: list[str]) -> None:
    """All that occurs is in the vocabulary, whatever its size; NFKC, which SentencePiece does, would change the ﬁ."""
    vocabulary = unit_vocabulary([text, "another"], units, SETTINGS, seed=1)
    ids = vocabulary.encode(text)
    assert (vocabulary.pieces(ids), vocabulary.decode(ids)) == (pieces, text)
    assert UNK_ID in vocabulary.encode("Ω" if units != "symbols" else "Ω a1")


def test_hangul_is_read_letter_by_letter() -> None:
    """As Unicode takes it apart; what is written, or shares a vocabulary with it, keeps its syllables."""
    text = "\ud55c\uad6d \ud558\ub298, \u00e9\u1112"
    rows = Dataset.from_dict({"source": [text], "target": ["h a n"]})

    def vocabularies(**options: str) -> tuple[Vocabulary, Vocabulary]:
        config = DataConfig("x", "word", "pron", source_units="characters", **options)  # type: ignore[arg-type]
        source, target = train_unit_vocabularies(rows, config, SETTINGS, False, seed=1)
        assert isinstance(source, Vocabulary)
        return source, target

    source, _ = vocabularies(target_units="symbols")
    letters = [*unicodedata.normalize("NFD", text.partition(",")[0]).replace(" ", "▁"), *",▁\u00e9\u1112"]
    assert source.pieces(source.encode(text)) == letters
    new = "\ub3c4\uad70"  # syllables that training did not show, of letters that it did
    assert source.pieces(source.encode(new))[-2:] == [*unicodedata.normalize("NFD", new)][-2:]
    assert source.encode(text) == source.encode(unicodedata.normalize("NFD", text.partition(",")[0]) + ", \u00e9\u1112")
    shared, target = vocabularies(target_units="characters")
    assert shared is target and shared.decode(shared.encode(text)) == text
    assert len(shared.encode("\ud55c\uad6d")) == 2


@pytest.mark.parametrize(
    ("features", "apart"),
    [
        ("V;IND;PRS;NOM(1,SG)", "V IND PRS NOM(1,SG)"),
        ("pos=N,case=ACC,num=PL", "pos=N case=ACC num=PL"),
        ("Case=Nom|Number=Sing,Plur", "Case=Nom Number=Sing,Plur"),
        ("V PST", "V PST"),
    ],
)
def test_features_of_shared_tasks_and_treebanks(features: str, apart: str) -> None:
    assert features_apart(features, "symbols") == apart
    assert features_apart(features, "characters") == features


@pytest.fixture(scope="module")
def rows() -> Dataset:
    sources = ["walk\tV;PST", "go\tV;PRS;3;SG", "see\tV.PTCP"]
    return Dataset.from_dict({"source": sources, "target": ["walked", "goes", "seen"]})


def trained(rows: Dataset, per_step: bool, **options: str) -> tuple[SourceVocabulary, object]:
    config = DataConfig(
        "x", "lemma", "form", features="f", source_units="characters", target_units="characters", **options
    )  # type: ignore[arg-type]
    source, target = train_unit_vocabularies(rows, config, SETTINGS, per_step, seed=1)
    assert isinstance(source, SourceVocabulary)
    return source, target


def test_features_before_the_source(rows: Dataset) -> None:
    source, target = trained(rows, per_step=False)
    assert source.text is target, "the same units, one vocabulary"
    ids = source.encode("goes\tPST;V")
    assert source.pieces(ids) == ["▁PST", "▁V", "g", "o", "e", "s"]
    assert max(ids) < len(source) and min(ids[:2]) >= len(source.text)
    assert source.encode("go\tFUT;V") == [UNK_ID, *source.encode("go\tV")], "a feature never seen"
    assert source.encode("") == [] == source.encode("\tV")
    with pytest.raises(UserError, match="'walk': this model reads lines of a source, a tab, and its features"):
        source.encode("walk")


def test_features_at_each_step(rows: Dataset) -> None:
    source, _ = trained(rows, per_step=True)
    assert source.factors == 4, "as many as the source with the most of them"
    before, _ = trained(rows, per_step=False)
    ids = source.encode("go\tV;PST")
    features, text = before.encode("go\tV;PST")[:2], before.encode("go\tV;PST")[2:]
    assert ids == [[token, *features, 0, 0] for token in text]
    assert len(source.encode("go\tV;V;V;V;V;V")[0]) == 5, "more than ever seen: the first ones"


@pytest.mark.parametrize("per_step", [False, True])
def test_stored_and_tokenised(rows: Dataset, per_step: bool, tmp_path: Path) -> None:
    source, target = trained(rows, per_step, unicode="NFD")
    save_vocabularies(tmp_path, source, target)  # type: ignore[arg-type]
    loaded, _ = load_vocabularies(tmp_path)
    assert loaded.fingerprint() == source.fingerprint()
    assert loaded.encode("g\u00e9\tV") == source.encode("ge\u0301\tV")
    encoded, _ = tokenise(rows, source, target)  # type: ignore[arg-type]
    assert [row["source_ids"] for row in encoded] == source.encode_batch(rows["source"])
    (tmp_path / UNITS_FILE).write_text("{}")
    with pytest.raises(UserError, match=r"units\.json"):
        load_vocabularies(tmp_path)


def test_a_given_vocabulary_is_taken_beside_features(rows: Dataset, tmp_path: Path) -> None:
    given = unit_vocabulary(["abcdefghijklmnopqrstuvwxyz"], "characters", SETTINGS, seed=1)
    given.save(tmp_path / "given.model")
    settings = VocabularyConfig(source_model=str(tmp_path / "given.model"))
    config = DataConfig("x", "lemma", "form", features="f")
    source, target = train_unit_vocabularies(rows, config, settings, per_step=False, seed=1)
    assert isinstance(source, SourceVocabulary)
    assert source.text is target and target.fingerprint() == given.fingerprint()
    assert source.pieces(source.encode("zoo\tPST;V")) == ["▁PST", "▁V", "z", "o", "o"]


@pytest.mark.parametrize(
    ("stored", "asked", "said"),
    [
        ({}, {"features": "f"}, "reads no features; leave features out"),
        ({"features": True}, {}, "reads features; name their column: features"),
        ({"unicode": "NFD"}, {"unicode": "NFC"}, "reads text in the Unicode form NFD; set unicode NFD"),
        ({}, {"unicode": "NFC"}, "reads text in the Unicode form unchanged; set unicode unchanged"),
    ],
)
def test_training_starts_only_where_sources_are_read_alike(
    stored: dict[str, Any], asked: dict[str, str], said: str, tmp_path: Path
) -> None:
    text = unit_vocabulary(["walked"], "characters", SETTINGS, seed=1)
    features = unit_vocabulary(["V PST"], "symbols", SETTINGS, seed=1) if stored.get("features") else None
    wrapped = SourceVocabulary(text, features, unicode=stored.get("unicode", "unchanged"))
    save_vocabularies(tmp_path, wrapped if stored else text, text)
    write_run_config(tmp_path / "config.json", to_dict(ExperimentConfig("x", "lemma", "form")), "translator")
    config = ExperimentConfig("x", "lemma", "form", start_from=str(tmp_path), model=ModelConfig(tie="two_way"), **asked)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"{tmp_path.name}: its model {said}"):
        new_vocabularies(config, None)


def test_columns_in_another_order_are_noticed(rows: Dataset) -> None:
    source, _ = trained(rows, per_step=False)
    source.check_features(["walk\tV;PST", "go\tXXX"], "x")
    with pytest.raises(UserError, match=r"data, row 1: no feature of 'walked' .*another order"):
        source.check_features(["V;PST\twalked", "V;PRS\tgoes"], "data")


@pytest.mark.parametrize(
    ("sources", "targets", "features", "guess"),
    [
        (["abandonner", "abby"], ["a b ɑ̃ d ɔ n e", "a b i"], False, ("characters", "symbols")),
        (["ba lan", "an toàn"], ["ɓ aː ˧˧ l aː n", "aː n"], False, ("characters", "symbols")),
        (["kuandika", "kula"], ["hatungali hamu andika", "analika"], True, ("characters", "characters")),
        (["Two men are playing chess outside."] * 2, ["Zwei Männer spielen Schach."] * 2, False, ("subwords",) * 2),
    ],
)
def test_units_by_the_look_of_texts(
    sources: list[str], targets: list[str], features: bool, guess: tuple[str, str]
) -> None:
    assert guessed_units(sources, targets, features) == guess
