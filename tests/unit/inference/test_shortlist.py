"""Searches that score some tokens alone: beside the model's own probabilities among these, in any company; IBM Model 1
beside the same with dictionaries; the command line."""

from __future__ import annotations

import collections
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.lexical_table import lexical_probabilities
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.errors import UserError
from seq2seq.inference.shortlist import SPECIAL, Shortlist, learned_shortlist, vocabularies_sum

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
TEXTS = ["ba ko mi", "lu", "te so ra ne", "", "mi mi ba", "so ba", "ra", "ne lu ko", "ko"]


def shortlist(translator: seq2seq.Translator, path: Path, translations: int, frequent: int) -> Path:
    """Of made-up translations, so that lists differ."""
    sizes = len(translator.source_vocabulary), len(translator.target_vocabulary)
    table = np.random.default_rng(1).integers(0, sizes[1], (sizes[0], translations)).astype(np.int32)
    sums = vocabularies_sum(translator.source_vocabulary, translator.target_vocabulary)
    Shortlist(table, np.arange(sizes[1])[::-1].copy(), frequent, sums).save(path)
    return path


@torch.no_grad()
def probability(translator: seq2seq.Translator, text: str, output: list[int], allowed: list[int]) -> float:
    """By forced decoding, among the tokens allowed."""
    encoded = torch.tensor([[*translator.source_vocabulary.encode(text), EOS_ID]])
    given = translator.model(encoded, torch.tensor([encoded.shape[1]]), torch.tensor([[BOS_ID, *output]]))
    logs = translator.model.decoder.log_probs(given)[0]
    among = torch.full_like(logs, -torch.inf)
    among[:, allowed] = logs[:, allowed]
    return float(among.log_softmax(-1).gather(1, torch.tensor([[*output, EOS_ID]]).T).sum())


@pytest.mark.parametrize("step", [1, 256])
def test_outputs_are_among_a_sentences_own_tokens_in_any_company(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seq2seq.inference.shortlist.STEP", step)  # 256 fills up to all tokens of this vocabulary
    translator = seq2seq.load(STORED)
    plain = translator.translate(TEXTS)
    translator.use_shortlist(shortlist(translator, tmp_path / "s.npz", 3, 2))
    found = translator.search(TEXTS, 3)
    assert [best[0].text for best in found] != plain
    assert translator.shortlist is not None
    table = translator.shortlist.translations
    for text, best in zip(TEXTS, found, strict=True):
        if not text:
            assert best[0].text == ""
            continue
        ids = [*translator.source_vocabulary.encode(text), EOS_ID]
        frequent = [len(translator.target_vocabulary) - 1, len(translator.target_vocabulary) - 2]
        allowed = sorted({*SPECIAL, *frequent, *table[ids].ravel().tolist()})
        assert len(allowed) < len(translator.target_vocabulary)
        for each in best:
            assert {*each.tokens} <= {*allowed}
            wanted = probability(translator, text, each.tokens, allowed)
            assert each.log_probability == pytest.approx(wanted, abs=1e-4)
    backwards = translator.search(TEXTS[::-1], 3)[::-1]
    alone = [translator.search([text], 3)[0] for text in TEXTS]
    for other in (backwards, alone):
        assert [[each.tokens for each in best] for best in other] == [[each.tokens for each in best] for best in found]


@pytest.mark.parametrize("options", [{}, {"min_length": 5, "no_repeat_ngram": 2}, {"beam_size": 6, "beam_groups": 3}])
def test_a_list_of_all_tokens_changes_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    translator, ensemble = seq2seq.load(STORED), seq2seq.load(STORED)
    ensemble.join(seq2seq.load(STORED))
    plain = translator.search(TEXTS, 2, **options)
    path = shortlist(translator, tmp_path / "s.npz", 1, len(translator.target_vocabulary))
    for each in (translator, ensemble):
        each.use_shortlist(path)
        for one, other in zip(plain, each.search(TEXTS, 2, **options), strict=True):
            assert [best.tokens for best in one] == [best.tokens for best in other]
            assert [best.score for best in one] == pytest.approx([best.score for best in other], abs=1e-5)


def test_translations_are_those_of_the_model_of_ibm() -> None:
    """The published algorithm, written out with dictionaries."""
    pairs = [([5, 6, 3], [7, 8]), ([5, 3], [7]), ([6, 9, 3], [8, 8, 4]), ([9, 3], [4])]
    table = collections.defaultdict(lambda: 1.0)
    for _ in range(5):
        counts: dict[tuple[int, int], float] = collections.defaultdict(float)
        for source, target in pairs:
            for word in target:
                total = sum(table[one, word] for one in source)
                for one in source:
                    counts[one, word] += table[one, word] / total
        sums = collections.Counter[int]()
        for (one, _), count in counts.items():
            sums[one] += count  # type: ignore[assignment]
        table = collections.defaultdict(float, {key: count / sums[key[0]] for key, count in counts.items()})
    found = lexical_probabilities([(np.array(source), np.array(target)) for source, target in pairs])
    given = {(one, word): value for one, word, value in zip(*(each.tolist() for each in found), strict=True)}
    assert given == pytest.approx({key: value for key, value in table.items() if value})
    made = learned_shortlist([(source[:-1], target) for source, target in pairs], (10, 10), "", 1, 2)
    assert made.translations[[5, 6, 9], 0].tolist() == [7, 8, 4]
    assert {*made.frequency[:3].tolist()} == {4, 7, 8}


def test_what_a_shortlist_does_not_go_with(tmp_path: Path) -> None:
    translator = seq2seq.load(STORED)
    path = shortlist(translator, tmp_path / "s.npz", 2, 2)
    translator.use_shortlist(path)
    with pytest.raises(UserError, match="bans, prefixes and terms name tokens that a shortlist may lack"):
        translator.translate(["ba"], ban=["KO"])
    with pytest.raises(UserError, match="bans, prefixes and terms"):
        translator.search(["ba"], prefixes=["KO"])
    with np.load(path) as stored:
        np.savez(tmp_path / "other.npz", **{**stored, "vocabularies": "x"})
        np.savez(tmp_path / "damaged.npz", **{**stored, "translations": stored["translations"] + 10_000})
    (tmp_path / "text.npz").write_text("none")
    for name, said in (
        ("other.npz", "made for other vocabularies"),
        ("damaged.npz", "damaged; make it anew"),
        ("text.npz", r"no file that tools/shortlist\.py has written"),
        ("nowhere.npz", "No such file"),
    ):
        with pytest.raises(UserError, match=f"{name}: {said}"):
            seq2seq.load(STORED).use_shortlist(tmp_path / name)
    translator.model.decoder.output_normalizer = "sparsemax"
    translator.join(seq2seq.load(STORED))  # prepared anew
    with pytest.raises(UserError, match="a shortlist is for models that do not copy, and end in a softmax"):
        translator.translate(["ba"])


def test_the_tool_and_the_command_line(toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = runpy.run_path(str(Path(__file__).parents[3] / "tools" / "shortlist.py"))
    file = tmp_path / "s.npz"
    assert tool["main"]([str(toy_run), str(file), "--translations", "4", "--frequent", "0"]) == 0
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for place, said in ((notes, "no file that tools/shortlist.py has written"), (tmp_path, "Is a directory")):
        capsys.readouterr()
        assert tool["main"]([str(toy_run), str(place)]) == 2
        assert f"{place}: {said}" in capsys.readouterr().err
    assert notes.read_text() == "mine"
    translator = seq2seq.load(toy_run)
    made = Shortlist.load(file)
    pieces = [translator.target_vocabulary.pieces([each])[0] for each in made.translations.ravel()]
    assert {"▁BA", "▁KO"} & {*pieces}
    (tmp_path / "in").write_text("ba ko\nmi lu\n")
    capsys.readouterr()
    assert main(["translate", str(toy_run), str(tmp_path / "in"), "--shortlist", str(file)]) == 0
    translator.use_shortlist(file)
    assert capsys.readouterr().out.splitlines() == translator.translate(["ba ko", "mi lu"])
    words = ["evaluate", str(toy_run), "--output", str(tmp_path / "o"), "--shortlist", str(file), "--json"]
    assert main([*words, "--metrics", "accuracy"]) == 0
    assert json.loads(capsys.readouterr().out)["exact_match"] > 50
    assert (tmp_path / "o" / "test-metrics=accuracy-shortlist=s.npz.metrics.json").exists()
    other = shortlist(translator, tmp_path / "other.npz", 1, 0)
    given = ["translate", str(toy_run), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    (tmp_path / "out.part").write_text("")
    state = {"inputs": 0, "bytes": 0, "settings": {"shortlist": "of another file"}}
    (tmp_path / "out.progress").write_text(json.dumps(state))
    assert main([*given, "--shortlist", str(other)]) == 2
    assert "was written with another shortlist" in capsys.readouterr().err
    generator = STORED.with_name("generator-0.1.0-format2")
    assert main(["evaluate", str(generator), "--data", str(tmp_path), "--shortlist", str(file)]) == 2
    assert "--shortlist is for runs that translate" in capsys.readouterr().err
    assert main(["translate", str(toy_run), str(tmp_path / "in"), "--wait-k", "2", "--shortlist", str(file)]) == 2
    assert "leave --shortlist out" in capsys.readouterr().err
