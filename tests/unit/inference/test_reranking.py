"""Re-ranking of n best: features against models asked one by one, weights by hand, models that write backwards."""

from __future__ import annotations

import json
import math
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.language_units import Pieces
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import RightToLeft, Vocabulary, VocabularyConfig
from seq2seq.deploy.plans import plan_of
from seq2seq.errors import UserError
from seq2seq.evaluation.weight_search import search_weights
from seq2seq.inference.reranking import (
    Candidate,
    forward_scores,
    language_scores,
    lengths,
    read_n_best,
    reranked,
    reverse_scores,
)
from seq2seq.model.language_model import LanguageModelConfig, build_language_model
from seq2seq.model.seq2seq import build_model
from seq2seq.tasks.translation import run
from tests.conftest import toy_config

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
SOURCES = ["ba ko mi", "", "lu te so ra"]
POOLS = [
    [Candidate(-0.1, "BA KO MI"), Candidate(-0.5, "BA KO"), Candidate(-0.9, "KO BA MI")],
    [Candidate(0.0, "")],
    [Candidate(-0.2, "LU TE SO"), Candidate(-0.3, "LU TE SO RA")],
]


def test_features_are_those_of_each_pair_alone() -> None:
    translator = seq2seq.load(STORED)
    forward, reverse = (function(translator, SOURCES, POOLS) for function in (forward_scores, reverse_scores))
    for row, (source, pool) in enumerate(zip(SOURCES, POOLS, strict=True)):
        for place, each in enumerate(pool):
            for found, pair in ((forward, (source, each.text)), (reverse, (each.text, source))):
                alone = translator.score([pair[0]], [pair[1]])[0]
                assert found[row][place] == pytest.approx(alone.log_probability / alone.tokens, abs=1e-5)
    turned = forward_scores(translator, SOURCES[::-1], [pool[::-1] for pool in POOLS[::-1]])
    for one, other in zip(turned[::-1], forward, strict=True):
        assert one[::-1] == pytest.approx(other, abs=1e-5)
    assert lengths(POOLS) == [[3, 2, 3], [0], [3, 4]]


def test_a_text_that_is_too_long_is_named_as_the_user_knows_it() -> None:
    translator = seq2seq.load(STORED)
    translator.max_source_tokens = 3
    with pytest.raises(UserError, match=r"^output 3 of line 1 has \d+ tokens, more than 3: leave the pair out"):
        forward_scores(
            translator, ["ba", "ba"], [[Candidate(0.0, "KO")] * 2 + [Candidate(0.0, "KO KO KO KO")], POOLS[1]]
        )
    with pytest.raises(UserError, match=r"^the source on line 2 has \d+ tokens"):
        reverse_scores(translator, ["BA", "KO KO KO KO"], [POOLS[1], POOLS[1]])


def test_a_language_model_scores_a_line_with_its_end() -> None:
    torch.manual_seed(1)
    vocabulary = seq2seq.load(STORED).target_vocabulary
    config = LanguageModelConfig("gru", hidden_size=8, embedding_size=4, dropout=0.0)
    model = build_language_model(config, len(vocabulary)).eval()
    found = language_scores(seq2seq.CharacterModel(model, config, Pieces(vocabulary)), POOLS)
    for values, pool in zip(found, POOLS, strict=True):
        for value, each in zip(values, pool, strict=True):
            ids, total, state = [*vocabulary.encode(each.text), EOS_ID], 0.0, model.start(1)
            for before, after in zip([BOS_ID, *ids], ids, strict=False):
                log_probs, state = model.step(torch.tensor([before]), state)
                total += float(log_probs[0, after].detach())
            assert value == pytest.approx(total / len(ids), abs=1e-4)


def test_the_weighted_sum_decides() -> None:
    features = [[[each.score for each in pool] for pool in POOLS], lengths(POOLS)]
    best = reranked(POOLS, features, [1.0, 0.15])
    assert [[each.text for each in pool] for pool in best] == [
        ["BA KO MI", "BA KO", "KO BA MI"],
        [""],
        ["LU TE SO RA", "LU TE SO"],
    ]
    assert best[2][0].score == pytest.approx(-0.3 + 0.6)
    assert reranked(POOLS, features, [0.0, 0.0])[0] == [each._replace(score=0.0) for each in POOLS[0]]


def test_weights_are_found_that_only_both_features_together_reach() -> None:
    def score(weights: list[float]) -> float:  # highest at 0.7 and -2.4
        return -((weights[0] - 0.7) ** 2) - (weights[1] + 2.4) ** 2

    found, highest = search_weights([1.0, 0.0], score, [False, True])  # type: ignore[arg-type]
    assert found == pytest.approx([0.7, -2.4])
    assert highest == pytest.approx(0)
    assert search_weights([1.0, 0.0], score, [False, False])[0] == pytest.approx([0.7, 0.0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1\t1\t-0.5\ta", "2 1 -0.5 a"], "nbest, line 2: not a line, rank, score and text with tabs"),
        (["1\t1\tnan\ta"], "nbest, line 1: not a line, rank, score"),
        (["1\t1\t-1\ta", "3\t1\t-1\ta"], "nbest, line 2: outputs of line 3, but of 1 before"),
        (["2\t1\t-1\ta"], "nbest, line 1: outputs of line 2, but of 0 before"),
    ],
)
def test_lists_in_another_form_are_named(lines: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_n_best(lines, "nbest")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("".join(line + "\n" for line in SOURCES))
    assert main(["translate", str(STORED), str(tmp_path / "in"), "--n-best", "5"]) == 0
    (tmp_path / "nbest").write_text(capsys.readouterr().out)
    found = seq2seq.load(STORED).search(SOURCES, 5)
    (tmp_path / "out").write_text("".join(best[-1].text + "\n" for best in found))  # the last ones are asked for
    given = [str(tmp_path / "nbest"), "--source-file", str(tmp_path / "in"), "--reverse", str(STORED)]
    tool = runpy.run_path(str(Path(__file__).parents[3] / "tools" / "tune_search.py"))
    assert tool["main"]([*given, "--references", str(tmp_path / "out"), "--metric", "chrf"]) == 0
    printed = capsys.readouterr()
    (tmp_path / "weights").write_text(printed.out)
    figures = printed.err.split()
    assert float(figures[figures.index("order,") + 1]) > float(figures[1])
    weights = json.loads(printed.out)
    assert set(weights) == {"score", "words", f"reverse {STORED}"}
    assert main(["rerank", *given, "--weights", str(tmp_path / "weights")]) == 0
    lines = capsys.readouterr().out.splitlines()
    pools = [[Candidate(round(each.score, 6), each.text) for each in best] for best in found]
    features = [[[each.score for each in pool] for pool in pools], lengths(pools)]
    features.append(reverse_scores(seq2seq.load(STORED), SOURCES, pools))
    assert lines == [pool[0].text for pool in reranked(pools, features, list(weights.values()))]
    assert main(["rerank", *given, "--n-best", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5  # of a blank line there is one output
    assert main(["rerank", *given, "--max-input-length", "2"]) == 2
    assert "error: the source on line 1 has " in capsys.readouterr().err
    assert main(["rerank", *given[:3], "--weights", str(tmp_path / "weights")]) == 2
    assert f"a weight for 'reverse {STORED}', which is not among the runs given" in capsys.readouterr().err
    (tmp_path / "in").write_text("ba\n")
    assert main(["rerank", *given]) == 2
    assert "in has 1 lines, " in capsys.readouterr().err


def test_sources_are_read_as_each_run_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a tag where --tag says so; backwards without features."""
    vocabulary = Vocabulary.train(["ba ko mi", "lu so"], VocabularyConfig(model_type="char"), tags=["<up>"])
    stored = seq2seq.load(STORED)
    model = build_model(stored.config, len(vocabulary), len(vocabulary))
    translator = seq2seq.Translator(model, stored.config, vocabulary, vocabulary)
    translator.save_pretrained(tmp_path / "run")
    (tmp_path / "in").write_text("ba\tV;PST\n")
    (tmp_path / "nbest").write_text("1\t1\t-1\tko\n")
    given = [str(tmp_path / "nbest"), "--source-file", str(tmp_path / "in"), "--n-best", "1"]
    for words, pair in (
        (["--forward", str(tmp_path / "run"), "--tag", "<up>"], ("<up> ba\tV;PST", "ko")),
        (["--reverse", str(tmp_path / "run")], ("ko", "ba")),
    ):
        assert main(["rerank", *given, *words]) == 0
        (score,) = translator.score([pair[0]], [pair[1]])
        written = float(capsys.readouterr().out.split("\t")[2])
        assert written == pytest.approx(-1 + score.log_probability / score.tokens, abs=1e-5)
    assert main(["rerank", *given, "--forward", str(STORED), "--tag", "<up>"]) == 2
    assert f"--tag: {STORED} was trained without tags" in capsys.readouterr().err


def test_a_run_that_writes_from_right_to_left(toy_data: Path, tmp_path: Path) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=1, max_steps=3)
    run(replace(config, target_order="right_to_left", test_split=""))
    translator = seq2seq.load(tmp_path / "run")
    vocabulary = translator.target_vocabulary
    assert isinstance(vocabulary, RightToLeft)
    plain = Vocabulary.load(tmp_path / "run" / "joint.spm.model")
    assert translator.source_vocabulary.encode("ba ko mi") == plain.encode("ba ko mi")
    assert vocabulary.encode("BA KO MI") == plain.encode("BA KO MI")[::-1]
    assert vocabulary.decode(plain.encode("BA KO MI")[::-1]) == "BA KO MI"
    assert vocabulary.fingerprint() != plain.fingerprint()
    same = seq2seq.Translator(translator.model, translator.config, translator.source_vocabulary, plain)
    best = translator.search(["ba ko mi", "lu te"], beam_size=2)
    for one, other in zip(best, same.search(["ba ko mi", "lu te"], beam_size=2), strict=True):
        assert one[0].tokens == other[0].tokens
        assert one[0].text == plain.decode(one[0].tokens[::-1])
    given, turned = translator.align(["ba ko mi"], best[0])[0], same.align(["ba ko mi"], best[0])[0]
    assert given.target == [*turned.target[-2::-1], "</s>"]
    assert given.weights == [*turned.weights[-2::-1], turned.weights[-1]]
    scores = translator.score(["ba ko"], ["BA LU"])[0], forward_scores(translator, ["ba ko"], [[Candidate(0, "BA LU")]])
    assert scores[1][0][0] == pytest.approx(scores[0].log_probability / scores[0].tokens)
    assert math.isfinite(scores[0].log_probability)
    for options, said in (
        ({"prefixes": ["B"]}, "prefixes: this model writes from right to left"),
        ({"terms": [["BA"]]}, "terms: this model writes from right to left"),
        ({"ban": ["BA"]}, "ban: this model writes from right to left"),
    ):
        with pytest.raises(UserError, match=said):
            translator.search(["ba"], **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a run that writes from right to left has no form outside torch"):
        plan_of(translator)
