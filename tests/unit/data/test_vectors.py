"""Pretrained vectors read from text files, and put where a model's words are."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seq2seq.data.vectors import read_vectors, vector_size
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.data.words import train_words
from seq2seq.errors import UserError
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.model.sequence_model import PredictorConfig, build_predictor_model
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Run
from seq2seq.tasks.configs import ExperimentConfig, WordTask
from seq2seq.tasks.embeddings import begin_with_vectors
from tests.forking import run_script

ROOT = Path(__file__).parents[3]
LINES = ["a cat sat on the mat", "the dog ran to a cat"]
GLOVE = "the 1 2 3\n. . . 9 9 9\ncat 0.5 -1e-1 .25\nThe 7 7 7\nbird 4 4 4\nmat\t1 1 1\n"


@pytest.fixture
def words() -> Vocabulary:
    return train_words(LINES, 40, seed=1)[0]


def file_of(folder: Path, text: str) -> Path:
    (folder / "vectors.txt").write_text(text)
    return folder / "vectors.txt"


@pytest.mark.parametrize("text", [GLOVE, "6 3\n" + GLOVE])
def test_vectors_of_the_vocabularys_words_are_kept(text: str, words: Vocabulary, tmp_path: Path) -> None:
    """GloVe's form and word2vec's; a word with spaces in it, tabs, the same word in capitals later."""
    path = file_of(tmp_path, text)
    assert vector_size(path) == 3
    found = {
        words.pieces([row])[0].strip("\u2581"): vector.tolist() for row, vector in read_vectors(path, words).items()
    }
    expected = {"the": [1, 2, 3], "cat": [0.5, -0.1, 0.25], "mat": [1, 1, 1]}
    assert found == {word: np.float32(numbers).tolist() for word, numbers in expected.items()}


def test_pieces_of_words_get_no_vectors(tmp_path: Path) -> None:
    pieces = Vocabulary.train(LINES * 20, VocabularyConfig(40, byte_fallback=False))
    whole = [word for word in ("cat", "the", "dog", "ran", "mat") if len(pieces.encode(word)) == 1]
    path = file_of(tmp_path, "".join(f"{word} 1 2\n" for word in ("cat", "the", "dog", "ran", "mat", "at")))
    assert {pieces.pieces([row])[0] for row in read_vectors(path, pieces)} == {f"\u2581{word}" for word in whole}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a 1 2\nb 1\n", "line 2: must be a word and 2 numbers, not 'b 1'"),
        ("a 1 2\nb 1 2 3\nc one 2\n", "line 3: must be a word and 2 numbers, not 'c one 2'"),
        ("a 1 2\nb nan 2\n", "line 2: must be a word and 2 numbers"),
        ("a 1 2\n\nb 1 2\n", "line 2: must be a word and 2 numbers, not ''"),
        ("3 2\na 1 2\n", "holds 1 vectors, but its first line says 3; is the file whole"),
        ("word\n", "line 1: must be a word and its numbers"),
        ("", "line 1: must be a word and its numbers"),
    ],
)
def test_malformed_vectors_are_named(text: str, told: str, words: Vocabulary, tmp_path: Path) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(UserError, match=told) as refused:
        read_vectors(path, words)
    assert str(refused.value).startswith(str(path))


def test_word2vecs_binary_format_is_named(words: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(b"1 2\ndog " + np.array([0.3, -1.0], np.float32).tobytes() + b"\n")
    with pytest.raises(UserError, match=r"bin, line 2: not UTF-8 text; vectors in word2vec's binary format must"):
        read_vectors(path, words)


def test_a_models_words_begin_with_vectors(words: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, found = file_of(tmp_path, GLOVE), read_vectors(file_of(tmp_path, GLOVE), words)
    front_end = FrontEndConfig("words", len(words), characters=9, character_size=5)
    task = WordTask(output=str(tmp_path / "run"), embeddings=path, model=PredictorConfig(front_end, size=8))
    translation = ExperimentConfig("d", "en", "de", output=str(tmp_path / "run"), embeddings=path, model=ModelConfig(3))
    for config, make, part in (
        (task, lambda: build_predictor_model(task.model), "front_end.words"),
        (translation, lambda: build_model(ModelConfig(3), len(words), len(words)), "decoder.embedding"),
    ):
        torch.manual_seed(1)
        model = make()
        before = model.get_submodule(part).weight.detach().clone()
        with caplog.at_level(logging.INFO):
            begin_with_vectors(Run(config, tmp_path, World()), model, words)
        after = model.get_submodule(part).weight.detach()
        assert f"vectors for 3 of {len(words)} pieces" in caplog.text
        caplog.clear()
        for row in range(len(words)):
            expected = torch.from_numpy(found[row]) if row in found else before[row]
            assert torch.equal(after[row], expected)
    narrow = replace(task, model=replace(task.model, size=9))
    for config, made, told in (
        (
            narrow,
            build_predictor_model(narrow.model),
            "of 3 numbers, but the model's words have 4; set --model.size 8, 5",
        ),
        (
            replace(translation, model=ModelConfig(4)),
            build_model(ModelConfig(4), len(words), len(words)),
            "set --model.embedding-size 3",
        ),
    ):
        with pytest.raises(UserError, match=told):
            begin_with_vectors(Run(config, tmp_path, World()), made, words)


def test_a_recipe_names_a_malformed_line(tmp_path: Path) -> None:
    path = file_of(tmp_path, "good" + " 0.5" * 128 + "\nbad 1\n")
    given = ["--quick", "--embeddings", path, "--output", tmp_path / "run"]
    ended = run_script(ROOT / "recipes" / "text_classification.py", given, tmp_path)
    assert ended.returncode == 2
    assert f"{path}, line 2: must be a word and 128 numbers, not 'bad 1'" in ended.stderr.splitlines()[-1]
