import hashlib
import pickle
import random
import unicodedata
from pathlib import Path

import pytest
import sentencepiece

from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig, train_vocabularies
from seq2seq.errors import UserError
from seq2seq.runs.layout import JOINT_FILE, SOURCE_FILE
from seq2seq.runs.vocabularies import holds_vocabularies, load_vocabularies, save_vocabularies

WORDS = [
    "river",
    "stone",
    "garden",
    "walks",
    "slowly",
    "through",
    "the",
    "green",
    "old",
    "town",
    "and",
    "sings",
    "while",
    "rain",
    "falls",
    "on",
    "a",
    "quiet",
    "roof",
]
SPECIAL_NAMES = ["</s>", "<s>", "<pad>", "<unk>", "x</s>y", "a <s> b", "<0x41>"]
TYPES = ["unigram", "bpe", "char", "word"]


def sentences(count: int = 200) -> list[str]:
    generator = random.Random(0)
    return [" ".join(generator.choices(WORDS, k=generator.randint(3, 9))) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train(sentences(), VocabularyConfig(size=400))


@pytest.mark.parametrize("model_type", TYPES)
def test_training_text_comes_back(model_type: str) -> None:
    vocabulary = Vocabulary.train(sentences(), VocabularyConfig(size=400, model_type=model_type))  # type: ignore[arg-type]
    ids = vocabulary.encode_batch(sentences())
    assert vocabulary.decode_batch(ids) == sentences()
    assert all(4 <= piece < len(vocabulary) for line in ids for piece in line)
    assert ids[0] == vocabulary.encode(sentences()[0])


def test_ids_equal_sentencepiece_itself(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "v.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "v.model"))
    assert vocabulary.encode_batch(sentences()) == [processor.encode(line) for line in sentences()]
    assert vocabulary.pieces([0, 1, 2, 3]) == ["<pad>", "<unk>", "<s>", "</s>"]


@pytest.mark.parametrize("model_type", TYPES)
def test_a_tiny_corpus_and_a_big_size_work(model_type: str) -> None:
    vocabulary = Vocabulary.train(["hello world"], VocabularyConfig(size=8000, model_type=model_type))  # type: ignore[arg-type]
    assert vocabulary.decode(vocabulary.encode("hello world")) == "hello world"


@pytest.mark.parametrize("text", [*SPECIAL_NAMES, "日本語 ✓ Ωλ", "tab\there  two", " \u2028 end", "ﬁne ½"])
def test_any_text_comes_back_by_bytes(vocabulary: Vocabulary, text: str) -> None:
    ids = vocabulary.encode(text)
    assert min(ids) >= 4
    assert vocabulary.decode(ids).split() == unicodedata.normalize("NFKC", text).split()


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_names_of_symbols_in_the_training_text_are_text(model_type: str) -> None:
    config = VocabularyConfig(size=400, model_type=model_type, byte_fallback=False)  # type: ignore[arg-type]
    vocabulary = Vocabulary.train([*SPECIAL_NAMES, *sentences()], config)
    for text in SPECIAL_NAMES:
        assert min(vocabulary.encode(text)) >= 4
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_unknown_pieces_show_and_other_symbols_do_not(vocabulary: Vocabulary) -> None:
    assert vocabulary.decode([2, *vocabulary.encode("green town"), 3, 0, 0]) == "green town"
    word = Vocabulary.train(sentences(), VocabularyConfig(model_type="word"))
    assert word.encode("green zebra")[1] == 1
    assert word.decode(word.encode("green zebra")) == "green ⁇"


def test_empty_text(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode("") == vocabulary.encode("  ") == []
    assert vocabulary.decode([]) == vocabulary.decode([2, 3, 0]) == ""
    assert (vocabulary.encode_batch([]), vocabulary.decode_batch([])) == ([], [])


@pytest.mark.parametrize("model_type", TYPES)
def test_odd_characters_do_no_harm(model_type: str) -> None:
    lines = ["nul \0 here", "\0", "\ud800 lone surrogate", "carriage\rreturn", "x" * 20_000, *sentences()]
    vocabulary = Vocabulary.train(lines, VocabularyConfig(size=500, model_type=model_type))  # type: ignore[arg-type]
    for line in lines:
        assert all(0 <= piece < len(vocabulary) for piece in vocabulary.encode(line))
    assert vocabulary.decode(vocabulary.encode("carriage return")) == "carriage return"


def test_a_decoded_sentence_is_one_line(vocabulary: Vocabulary) -> None:
    line_feed = next(piece for piece in range(len(vocabulary)) if vocabulary.pieces([piece]) == ["<0x0A>"])
    assert vocabulary.decode([*vocabulary.encode("old"), line_feed, *vocabulary.encode("town")]) == "old  town"


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_training_is_reproducible(model_type: str, tmp_path: Path) -> None:
    config = VocabularyConfig(size=350, model_type=model_type, max_training_sentences=50)  # type: ignore[arg-type]
    first, second, other = (Vocabulary.train(iter(sentences()), config, seed) for seed in (1, 1, 2))
    first.save(tmp_path / "v.model")
    assert first.fingerprint() == hashlib.sha256((tmp_path / "v.model").read_bytes()).hexdigest()
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != other.fingerprint(), "another seed samples other sentences"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nmt_nfkc", "Straße AB,你好! x y"),
        ("nfkc", "Straße AB,你好! x\ty"),
        ("nmt_nfkc_cf", "straße ab,你好! x y"),
        ("nfkc_cf", "straße ab,你好! x\ty"),
        ("identity", "Straße ＡＢ，你好！ x\ty"),
    ],
)
def test_characters_are_normalised_by_the_rule_chosen(rule: str, expected: str) -> None:
    vocabulary = Vocabulary.train(sentences(), VocabularyConfig(size=400, normalization=rule))  # type: ignore[arg-type]
    assert vocabulary.decode(vocabulary.encode("Straße ＡＢ，你好！ x\ty")) == expected


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sampled_segmentations(model_type: str) -> None:
    config = VocabularyConfig(size=400, model_type=model_type)  # type: ignore[arg-type]
    vocabulary = Vocabulary.train(sentences(), config)
    drawn = [vocabulary.encode_batch(sentences(), sample_alpha=0.2, seed=seed) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert drawn[0] != vocabulary.encode_batch(sentences())
    assert vocabulary.decode_batch(drawn[0]) == vocabulary.decode_batch(drawn[1]) == sentences()


def test_files_and_pickles(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "v.model")
    for copy in (Vocabulary.load(tmp_path / "v.model"), pickle.loads(pickle.dumps(vocabulary))):
        assert copy.encode_batch(sentences()) == vocabulary.encode_batch(sentences())
        assert copy.fingerprint() == vocabulary.fingerprint()


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "cut"])
def test_a_damaged_file_is_named(vocabulary: Vocabulary, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad.model"
    vocabulary.save(tmp_path / "good.model")
    whole = (tmp_path / "good.model").read_bytes()
    content = {"empty": b"", "garbage": b"\x01garbage" * 100, "cut": whole[:5000]}
    if damage in content:
        path.write_bytes(content[damage])
    with pytest.raises(UserError, match=r"bad\.model: ") as error:
        Vocabulary.load(path)
    assert "\n" not in str(error.value)


def test_a_model_with_other_symbol_ids_is_refused(tmp_path: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_prefix=str(tmp_path / "foreign"), vocab_size=40, minloglevel=2
    )
    with pytest.raises(UserError, match=r"foreign\.model: its pad, unk, bos and eos ids are \(-1, 0, 1, 2\)"):
        Vocabulary.load(tmp_path / "foreign.model")


@pytest.mark.parametrize("lines", [[], ["", "  "], ["\0"], ["\u200b"]])
def test_an_empty_corpus_is_an_error(lines: list[str]) -> None:
    with pytest.raises(UserError, match="the training text is empty"):
        Vocabulary.train(lines, VocabularyConfig())


def test_a_size_below_the_alphabet_says_what_is_needed() -> None:
    with pytest.raises(UserError, match=r"size 10 is too small.*needs 2[0-9][0-9]"):
        Vocabulary.train(sentences(), VocabularyConfig(size=10))


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"model_type": "wordpiece"},
        {"normalization": "nfd"},
        {"character_coverage": 1.5},
        {"max_training_sentences": 0},
        {"joint": True, "source_model": "a", "target_model": "b"},
        {"joint": False, "source_model": "a"},
    ],
)
def test_wrong_options_are_errors(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        VocabularyConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("streaming", [True, False])
def test_vocabularies_of_a_dataset(tmp_path: Path, joint: bool, streaming: bool) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"source": sentences(), "target": [[line.upper(), "ÄÖÜ"] for line in sentences()]}
    dataset = datasets.Dataset.from_dict(rows)
    config = VocabularyConfig(size=400, model_type="bpe", byte_fallback=False, joint=joint)
    source, target = train_vocabularies(dataset.to_iterable_dataset() if streaming else dataset, config)
    assert (source is target) == joint
    assert 1 not in target.encode("ÄÖÜ"), "every reference is read"
    assert (1 in source.encode("ÄÖÜ")) != joint

    save_vocabularies(tmp_path, source, target)
    assert (tmp_path / JOINT_FILE).exists() == joint
    loaded = load_vocabularies(tmp_path)
    assert (loaded[0] is loaded[1]) == joint
    assert [v.fingerprint() for v in loaded] == [source.fingerprint(), target.fingerprint()]

    source.save(tmp_path / "s.model")
    target.save(tmp_path / "t.model")
    paths = {"source_model": str(tmp_path / "s.model"), "target_model": None if joint else str(tmp_path / "t.model")}
    given = train_vocabularies(dataset, VocabularyConfig(joint=joint, **paths))  # type: ignore[arg-type]
    assert [v.fingerprint() for v in given] == [source.fingerprint(), target.fingerprint()]


def test_one_of_two_vocabularies_is_not_enough(tmp_path: Path) -> None:
    """As a death between saving the first and the second leaves it."""
    first, second = (Vocabulary.train(sentences(), VocabularyConfig(size=size)) for size in (300, 350))
    first.save(tmp_path / SOURCE_FILE)
    assert not holds_vocabularies(tmp_path)
    save_vocabularies(tmp_path, first, second)
    assert holds_vocabularies(tmp_path)
    assert [len(each) for each in load_vocabularies(tmp_path)] == [len(first), len(second)]


def test_a_folder_without_vocabularies_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path.name}: holds neither"):
        load_vocabularies(tmp_path)
