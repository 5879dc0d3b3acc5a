"""A translator follows its model."""

import copy
import math
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.errors import UserError
from seq2seq.inference.load import load
from seq2seq.inference.translator import Translator
from seq2seq.runtime.kernels import DecodingPrecision
from tests.conftest import WORDS, needs_bf16, needs_int8


def test_changed_weights_are_prepared_again(toy_run: Path) -> None:
    sentences = ["ba ko mi", "lu te"]
    translator = load(toy_run)
    before = translator.translate(sentences)
    with torch.no_grad():
        translator.model.decoder.output.bias[3] += 1e4  # eos, at once
    assert translator.translate(sentences) == ["", ""] != before


@pytest.mark.parametrize(
    ("precision", "device"),
    [
        pytest.param("int8", "cpu", marks=needs_int8),
        pytest.param("bf16", "cpu", marks=needs_bf16),
        pytest.param("bf16", "cuda", marks=pytest.mark.gpu),
        pytest.param("fp16", "cuda", marks=pytest.mark.gpu),
    ],
)
def test_other_precisions_translate_as_fp32_does_but_for_close_calls(
    precision: DecodingPrecision, device: str, toy_run: Path
) -> None:
    chance = random.Random(3)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(1, 6))) for _ in range(200)]
    translator = load(toy_run, device=device)
    expected = translator.search(lines)
    translator.precision = precision
    found = translator.search(lines)
    same = [(one[0], other[0]) for one, other in zip(found, expected, strict=True) if one[0].text == other[0].text]
    assert len(same) >= 0.95 * len(lines)
    assert any(one.score != other.score for one, other in same), f"{precision} was not used"
    assert all(abs(one.score - other.score) < 0.05 for one, other in same)


def test_a_translator_can_be_copied_after_it_has_translated(toy_run: Path) -> None:
    translator = load(toy_run)
    expected = translator.translate(["ba ko mi"])
    assert copy.deepcopy(translator).translate(["ba ko mi"]) == expected
    assert pickle.loads(pickle.dumps(translator)).translate(["ba ko mi"]) == expected


def test_an_ensemble_scores_by_the_mean_of_probabilities(toy_run: Path, tmp_path: Path) -> None:
    """Token by token, as its search sees them."""
    one, other = load(toy_run), load(toy_run)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    sources, targets = ["ba ko di", "ko"], ["KO BA", "DI DI KO"]
    tokens = [[*one.target_vocabulary.encode(text), EOS_ID] for text in targets]
    expected = []
    for source, ids in zip(sources, tokens, strict=True):
        batch = collate([(one.source_vocabulary.encode(source), ids[:-1])])
        total = 0.0
        states = [each.model.start(batch.source, batch.source_lengths) for each in (one, other)]
        for before, token in zip([BOS_ID, *ids], ids, strict=False):
            probability = 0.0
            for place, each in enumerate((one, other)):
                log_probs, states[place] = each.model.step(torch.tensor([before]), states[place])
                probability += log_probs[0, token].exp().item() / 2
            total += math.log(probability)
        expected.append(total)
    one.join(other)
    found = one.score(sources, targets)
    assert [each.log_probability for each in found] == pytest.approx(expected, rel=1e-5)
    assert [each.tokens for each in found] == [len(ids) for ids in tokens]


def test_scores_of_what_was_searched_are_the_searchs(toy_run: Path) -> None:
    """Of its own tokens, which need not be those that its text is cut into."""
    translator, texts = load(toy_run), ["ba ko mi", "lu", "te so ra ne"]
    for best in zip(*translator.search(texts, n_best=3), strict=True):
        scores = translator.score_translations(texts, best)
        assert [each.log_probability for each in scores] == pytest.approx(
            [each.log_probability for each in best], abs=1e-3
        )
        assert [each.tokens for each in scores] == [len(each.tokens) + 1 for each in best]


def test_an_ensemble_hears_all_its_members(toy_run: Path, tmp_path: Path) -> None:
    translator, other = load(toy_run), load(toy_run)
    alone = translator.search(["ba ko mi"])[0][0]
    with torch.no_grad():
        for weight in (other.model.decoder.output.weight, other.model.decoder.output.bias):
            weight.zero_()  # all tokens are equally likely
    translator.join(other)
    joined = translator.search(["ba ko mi"])[0][0]
    assert joined.tokens == alone.tokens
    assert joined.score < alone.score - 0.3
    shutil.copytree(toy_run, tmp_path / "run")
    with pytest.raises(UserError, match="not saved as one model"):
        translator.save_pretrained(tmp_path / "run")
    assert load(tmp_path / "run").translate(["ba"]) == ["BA"]
    elsewhere = load(toy_run)
    elsewhere.model.to("meta")
    with pytest.raises(UserError, match="on one device, not on cpu and meta"):
        translator.join(elsewhere)


def test_from_pretrained_takes_the_options_of_load_alone(toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="device 'tpu9'"):
        Translator.from_pretrained(toy_run, device="tpu9")
    with pytest.raises(UserError, match="cannot be loaded with devise; the options are device, revision"):
        Translator.from_pretrained(toy_run, devise="cuda")
    asked = {}

    def download(name: str, **options: str) -> Path:
        asked.update(options)
        return toy_run

    monkeypatch.setattr("seq2seq.runs.hub.snapshot_download", download)
    Translator.from_pretrained("owner/name", revision="v1", token="secret")
    assert asked == {"revision": "v1", "token": "secret"}


@pytest.mark.parametrize(("texts", "told"), [("ba ko", "a list of strings"), (["ba", 3], "text 2 is of type int")])
def test_what_is_no_list_of_texts_is_refused(toy_run: Path, texts: Any, told: str) -> None:
    """A string is a sequence of strings too: each letter would be translated."""
    with pytest.raises(UserError, match=told):
        load(toy_run).translate(texts)


def test_what_is_no_folder_is_refused(toy_run: Path, tmp_path: Path) -> None:
    translator = load(toy_run)
    (tmp_path / "file").write_text("mine")
    for given, message in [
        (None, "save_directory is of type NoneType; give a folder"),
        (3, "save_directory is of type int; give a folder"),
        (tmp_path / "file", "file: is a file; give a folder"),
        (tmp_path / "file" / "below", "cannot save the model there .Not a directory.; give another folder"),
        ("run" * 2_000, r"^[run]{57}[.]{3}: cannot be opened .File name too long.; give a folder"),
        ("a\0b", "save_directory holds a NUL character"),
    ]:
        with pytest.raises(UserError, match=message):
            translator.save_pretrained(given)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_the_hub_does_not_take_is_one_sentence(toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    translator = load(toy_run)
    for name, message in [
        (None, "repo_id is of type NoneType; give a Hub id"),
        ("x y", "x y: the Hub does not take the model: Repo id must use"),
        ("owner/name", "owner/name: the Hub does not take the model: .*no network"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            translator.push_to_hub(name, token="hf_none")  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_only_a_translator_joins_another_one(toy_run: Path) -> None:
    translator = load(toy_run)
    for other in (None, [translator], "runs/mine"):
        with pytest.raises(UserError, match=f"join takes one Translator, not {type(other).__name__}"):
            translator.join(other)  # type: ignore[arg-type]


def test_search_options_may_be_numbers_of_numpy(toy_run: Path) -> None:
    translator = load(toy_run)
    expected = translator.search(["ba ko"], n_best=2, beam_size=3, length_penalty=0.5)
    found = translator.search(["ba ko"], np.int64(2), beam_size=np.int32(3), length_penalty=np.float32(0.5))
    assert found == expected
