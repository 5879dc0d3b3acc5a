"""Several corpora: what an epoch draws from each, how they are named in options, their tags."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from datasets import Dataset
from pyarrow import parquet

from seq2seq.cli.corpora import several_as_one, with_corpora
from seq2seq.config import read_config, write_config
from seq2seq.data.corpus import DataConfig, load_split, tokenise
from seq2seq.data.mixing import CorpusConfig, Interleaved, Mix, shares
from seq2seq.data.subword_sampling import pair_sampler
from seq2seq.data.units import SourceVocabulary, train_unit_vocabularies, unit_vocabulary
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError

LINES = ["a man walks", "two men walk home", "a dog runs", "the dog walks 25 miles", "<b> is mere text"] * 8


def test_shares_follow_the_weights_or_the_temperature() -> None:
    assert shares([3.0, 1.0], [10, 10_000], 5) == pytest.approx([0.75, 0.25])
    assert shares([None, None], [300, 100], 1) == pytest.approx([0.75, 0.25])
    assert shares([None, None], [900, 100], 2) == pytest.approx([0.75, 0.25])  # the square roots: 30 and 10
    assert shares([None, None], [900, 100], 1_000) == pytest.approx([0.5, 0.5], abs=2e-3)


def test_epochs_draw_by_the_shares_and_no_row_again_before_all_have_come() -> None:
    mix = Mix(np.array([0.7, 0.3]), [50, 150], seed=3)
    epochs = [mix.rows(epoch) for epoch in range(40)]
    for rows in epochs:
        assert len(rows) == 200
        assert (rows < 50).sum() == 140
        counts = Counter(rows.tolist())
        assert {counts[row] for row in range(50)} <= {2, 3, 4}  # 140 of 50: nearly three passes
        assert max(counts[row] for row in range(50, 200)) <= 2
    whole = Counter(np.concatenate(epochs).tolist())
    assert {whole[row] for row in range(50)} == {40 * 140 // 50}  # 112 passes exactly
    assert {whole[row] for row in range(50, 200)} == {40 * 60 // 150}


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        return Mix(np.array([0.2, 0.8]), [300, 300], seed).rows(epoch).tolist()

    assert rows(1, 4) == rows(1, 4)
    assert len({tuple(rows(*each)) for each in itertools.product((1, 2), (0, 1, 2))}) == 6
    assert Mix(np.array([0.5, 0.5]), [7, 7], 1).rows(9).tolist() == list(range(14))  # all, once each


def test_a_large_remainder_is_rounded_up() -> None:
    assert Mix(np.array([1 / 3, 1 / 3, 1 / 3]), [2, 2, 1], 1).counts == [2, 2, 1]
    assert sum(Mix(np.array([0.123, 0.877]), [13, 8], 1).counts) == 21


def test_streams_are_drawn_by_their_shares_until_each_has_ended() -> None:
    streams = [lambda: iter(range(2_000)), lambda: iter(range(10_000, 10_100))]
    drawn = list(Interleaved(streams, np.array([0.25, 0.75]), seed=1, epoch=0))
    of_first = [each for each in drawn if each < 10_000]
    assert of_first == list(range(2_000))  # the last to end is read once, in its order
    # 2,000 pairs are a quarter of what is drawn: 8,000, with a standard deviation of some 155.
    assert len(drawn) == pytest.approx(8_000, abs=5 * 155)
    assert Counter(each for each in drawn if each >= 10_000).most_common()[-1][1] >= 50
    assert drawn == list(Interleaved(streams, np.array([0.25, 0.75]), seed=1, epoch=0))
    assert drawn != list(Interleaved(streams, np.array([0.25, 0.75]), seed=1, epoch=1))


def test_a_stream_without_pairs_is_said() -> None:
    with pytest.raises(UserError, match="corpus 2 of data has no pair left"):
        list(Interleaved([lambda: iter(range(9)), lambda: iter(())], np.array([0.5, 0.5]), 1, 0))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_texts_of_any_width_are_joined(several: bool, streaming: bool, tmp_path: Path) -> None:
    wide, targets = pyarrow.large_string(), [["c"], ["d"]] if several else ["c", "d"]
    kind = pyarrow.list_(wide) if several else wide
    for name in ("wide", "usual"):
        (tmp_path / name).mkdir()
    table = pyarrow.table({"en": pyarrow.array(["a", "b"], wide), "de": pyarrow.array(targets, kind)})
    parquet.write_table(table, tmp_path / "wide" / "train.parquet")
    (tmp_path / "usual" / "train.jsonl").write_text('{"en": "e", "de": "f"}\n')
    data = [CorpusConfig(tmp_path / name, weight=1) for name in ("wide", "usual")]
    rows = list(load_split(DataConfig(data=data, source="en", target="de", streaming=streaming), "train"))
    assert [row["source"] for row in rows] == ["a", "b", "e"]
    assert [row["target"] for row in rows] == [*targets, ["f"] if several else "f"]


@pytest.mark.parametrize("units", ["auto", "subwords", "characters", "graphemes", "symbols"])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
def test_a_tag_is_one_piece_and_leaves_the_text_as_it_is(units: str, kind: str) -> None:
    if units != "auto" and kind != "unigram":
        pytest.skip("units decide the kind")
    config = VocabularyConfig(size=320, model_type=kind)  # type: ignore[arg-type]
    usual = unit_vocabulary(LINES, units, config, 1)  # type: ignore[arg-type]
    tagged = [f"<2de> {line}" for line in LINES]
    vocabulary = unit_vocabulary(tagged, units, config, 1, tags=["<2de>", "<2fr>"])  # type: ignore[arg-type]
    assert vocabulary.tags() == ["<2de>", "<2fr>"]
    assert usual.tags() == []
    for tag in ("<2de>", "<2fr>"):
        first, *rest = vocabulary.encode(f"{tag} a dog walks home")
        assert vocabulary.pieces([first])[0].strip("\u2581") == tag
        assert rest == vocabulary.encode("a dog walks home")
    assert vocabulary.decode(vocabulary.encode("the dog runs")) == usual.decode(usual.encode("the dog runs"))


@pytest.mark.parametrize(("kind", "options"), [("bpe", (0.5, 0.0)), ("unigram", (0.0, 0.1))])
def test_drawn_segmentations_leave_the_tag_whole(kind: str, options: tuple[float, float]) -> None:
    config = VocabularyConfig(size=320, model_type=kind)  # type: ignore[arg-type]
    vocabulary = Vocabulary.train([*LINES, "2 d e < > 2de"] * 3, config, tags=["<2de>"])
    sampler = pair_sampler(vocabulary, vocabulary, *options, seed=1)
    assert sampler is not None
    ids = vocabulary.encode("<2de> the dog walks home")
    drawn = [sampler((ids, ids), 0, row)[0] for row in range(50)]
    assert {each[0] for each in drawn} == {ids[0]}
    assert len({tuple(each) for each in drawn}) > 5


def corpus(*pairs: tuple[str, str]) -> Dataset:
    return Dataset.from_list([{"en": source, "de": target, "fr": target.upper()} for source, target in pairs])


def test_corpora_are_loaded_one_after_the_other_behind_their_tags() -> None:
    one, other = corpus(("a", "b"), ("c", "d")), corpus(("e", "f"))
    data = [CorpusConfig(one, target="fr", tag="<2fr>"), CorpusConfig(other)]
    config = DataConfig(data, "en", "de")
    rows = load_split(config, "train").to_list()
    assert rows == [
        {"source": "<2fr> a", "target": "B"},
        {"source": "<2fr> c", "target": "D"},
        {"source": "e", "target": "f"},
    ]
    assert (config.tags, config.language) == (["<2fr>"], "")
    left_out = DataConfig([CorpusConfig(one, weight=0), CorpusConfig(other, weight=2)], "en", "de")
    assert load_split(left_out, "train").to_list() == rows[2:]


def test_text_and_lists_of_references_go_together() -> None:
    several = Dataset.from_list([{"en": "x", "de": ["y", "z"]}])
    rows = load_split(DataConfig([corpus(("a", "b")), several], "en", "de"), "train").to_list()
    assert [row["target"] for row in rows] == [["b"], ["y", "z"]]


def test_a_tag_stands_before_features_and_in_a_unicode_form() -> None:
    table = Dataset.from_list([{"lemma": "cafe\u0301", "features": "V;PST", "form": "x"}] * 4)
    data = [CorpusConfig(table, tag="<fr>")]
    config = DataConfig(data, "lemma", "form", features="features", source_units="characters", unicode="NFC")
    rows = load_split(config, "train")
    assert rows[0]["source"] == "<fr> caf\u00e9\tV;PST"
    source, target = train_unit_vocabularies(rows, config, VocabularyConfig(joint=False), False, 1)
    assert isinstance(source, SourceVocabulary)
    encoded, _ = tokenise(rows, source, target)
    assert [piece.strip("\u2581") for piece in source.pieces(encoded[0]["source_ids"])] == ["V", "PST", "<fr>", *"café"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "option 'data' must name a corpus, but its list is empty"),
        ([{"path": "a", "weight": 1}, {"path": "b"}], "give all corpora a weight, or none"),
        ([{"path": "a", "weight": 0}], "all weights are 0"),
        ([{"path": "a", "weight": -1}], r"data\.weight must be a number from 0 to 1,000,000, not -1"),
        ([{"path": "a", "tag": "2de"}], "option 'data.tag' must be a word in pointed brackets"),
        ([{"path": "a", "tag": "<2DE>"}], "in small letters, such as <2de>, not '<2DE>'"),
        ([{"path": "a", "tag": "<2 de>"}], "option 'data.tag' must be"),
        ([{"path": "a", "tags": "<2de>"}], r"data, corpus 1: unknown option 'tags'; did you mean 'tag'\?"),
        ([{"tag": "<2de>"}], "data, corpus 1: option 'path' is required"),
        ([{"path": "a"}, {"path": ""}], "option 'data.path' must not be empty"),
        ([{"path": "a", "target": "en"}], "source and target are the same column 'en'"),
        ([3], "data must be a folder, a file"),
    ],
)
def test_wrong_lists_are_refused(data: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig(data, "en", "de")  # type: ignore[arg-type]


def test_columns_come_from_the_corpus_or_the_option() -> None:
    assert DataConfig(["a", {"path": "b", "target": "fr"}], "en", "de").corpora() == [
        CorpusConfig("a", "en", "de"),
        CorpusConfig("b", "en", "fr"),
    ]
    with pytest.raises(UserError, match="data: b has no target; give it one, or set the option target"):
        DataConfig([CorpusConfig("a", target="de"), "b"], "en", "")
    with pytest.raises(UserError, match="option 'source' must not be empty"):
        DataConfig("a", "", "de")
    with pytest.raises(UserError, match=r"streaming: .*; give each a weight"):
        DataConfig(["a", "b"], "en", "de", streaming=True)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_list_is_written_and_read_back(suffix: str, tmp_path: Path) -> None:
    config = DataConfig([CorpusConfig("a", "en", "de", "<2de>", 2.0), CorpusConfig("b", weight=1)], "no", "fr")
    write_config(tmp_path / f"c.{suffix}", config)
    assert read_config(tmp_path / f"c.{suffix}", DataConfig) == config


def test_data_given_several_times_is_a_list() -> None:
    words = ["--output=run", "--data=a", "--source=en", "--data={path: b, target: no, tag: <2no>, weight: 1.5}"]
    together = several_as_one(words)
    assert [word.partition("=")[0] for word in together] == ["--output", "--data", "--source"]
    data = with_corpora({"data": together[1].partition("=")[2]})["data"]
    assert data == ["a", {"path": "b", "target": "no", "tag": "<2no>", "weight": 1.5}]
    assert several_as_one(["--data=a", "--source=en"]) == ["--data=a", "--source=en"]
    with pytest.raises(UserError, match=r"--data \{path: : cannot be read .*; the form is \{path: DIR"):
        several_as_one(["--data={path: "])
    with pytest.raises(UserError, match=r"--data: a corpus cannot be written as text \(Circular reference"):
        several_as_one(["--data=[&a [*a]]"])
