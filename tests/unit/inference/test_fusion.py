"""A language model in a translator's search: every output's score by plain forced decoding, and exhaustive search."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.characters import Characters
from seq2seq.data.language_units import Pieces
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import RightToLeft
from seq2seq.errors import UserError
from seq2seq.model.language_model import LanguageModelConfig, build_language_model
from seq2seq.model.memory import Memory

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
TEXTS = ["ba ko mi", "lu", "te so ra ne", ""]


def language_model(direction: str = "forward") -> seq2seq.CharacterModel:
    torch.manual_seed(1)
    vocabulary = seq2seq.load(STORED).target_vocabulary
    config = LanguageModelConfig("gru", hidden_size=8, embedding_size=4, dropout=0.0, direction=direction)  # type: ignore[arg-type]
    return seq2seq.CharacterModel(build_language_model(config, len(vocabulary)), config, Pieces(vocabulary))


@torch.no_grad()
def scores(
    translator: seq2seq.Translator, text: str, outputs: list[list[int]], weights: tuple[float, float]
) -> list[float]:
    """Of outputs of one length, by teacher forcing, all models apart."""
    ids, before = (torch.tensor(each) for each in zip(*[([*o, EOS_ID], [BOS_ID, *o]) for o in outputs], strict=True))
    encoded = torch.tensor([[*translator.source_vocabulary.encode(text), EOS_ID]])
    model, rows = translator.model, len(outputs)
    source, length = encoded.expand(rows, -1), torch.full((rows,), encoded.shape[1])
    size = model.encode(source, length).final_hidden.shape[-1]
    zeros = torch.zeros(rows, size)
    nothing = Memory(torch.zeros(rows, 3, size), torch.ones(rows, 3, dtype=torch.bool), zeros, zeros)
    logs = [
        model.decoder.log_probs(model(source, length, before)),
        model.decoder.log_probs(model.decoder.unroll(before, nothing, torch.zeros(rows, 3, dtype=torch.int64))),
    ]
    assert translator.fusion is not None
    joined = translator.fusion.model(before, torch.full((rows,), before.shape[1]))[0].log_softmax(-1)
    own, internal, language = (each.gather(-1, ids[..., None]).sum((1, 2)) for each in (*logs, joined))
    return (own + weights[0] * language - weights[1] * internal).tolist()


@pytest.mark.parametrize("weights", [(0.3, 0.0), (0.4, 0.2)])
def test_scores_are_the_weighted_sum(weights: tuple[float, float]) -> None:
    translator = seq2seq.load(STORED)
    plain = translator.search(TEXTS, 3)
    translator.fuse(language_model(), *weights)
    found = translator.search(TEXTS, 3)
    for text, best in zip(TEXTS[:-1], found, strict=False):
        for each in best:
            assert each.log_probability == pytest.approx(scores(translator, text, [each.tokens], weights)[0], abs=1e-3)
    assert [[each.score for each in best] for best in found] != [[each.score for each in best] for best in plain]
    assert found[-1] == plain[-1]
    turned = translator.search(TEXTS[::-1], 3)[::-1]
    alone = [translator.search([text], 3)[0] for text in TEXTS]
    for one in (turned, alone):
        assert [[each.text for each in best] for best in one] == [[each.text for each in best] for best in found]
    translator.fuse(language_model(), 0.0, 0.0)
    assert [best[0].text for best in translator.search(TEXTS)] == [best[0].text for best in plain]


def test_the_best_is_that_of_exhaustive_search() -> None:
    translator = seq2seq.load(STORED)
    translator.fuse(language_model(), 0.5, 0.3)
    found = translator.search(["lu"], 1, beam_size=400, max_length=3, length_penalty=0.0)[0][0]
    pieces = range(EOS_ID + 1, len(translator.target_vocabulary))
    known = {}
    for length in range(3):
        outputs = [list(each) for each in itertools.product(pieces, repeat=length)]
        for tokens, value in zip(outputs, scores(translator, "lu", outputs, (0.5, 0.3)), strict=True):
            known[tuple(tokens)] = value
    best = max(known, key=known.__getitem__)
    assert found.tokens == list(best)
    assert found.score == pytest.approx(known[best], abs=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    translator, model = seq2seq.load(STORED), language_model()
    backwards = RightToLeft(translator.target_vocabulary)
    turned = seq2seq.Translator(translator.model, translator.config, translator.source_vocabulary, backwards)
    with pytest.raises(UserError, match="this run writes from right to left, which no language model does"):
        turned.fuse(model)
    strange = seq2seq.CharacterModel(model.model, model.config, Characters("abc"))
    with pytest.raises(UserError, match="the language model is not of the vocabulary that this run writes with"):
        translator.fuse(strange)
    with pytest.raises(UserError, match="weight must be a number from 0 to 10"):
        translator.fuse(model, -1)
    with pytest.raises(UserError, match="language_model must be of type CharacterModel"):
        translator.fuse(translator)  # type: ignore[arg-type]
    translator.fuse(model)
    with pytest.raises(UserError, match="sampling draws from probabilities"):
        translator.search(["ba"], sampling="ancestral")
    translator.model.decoder.output_normalizer = "sparsemax"
    with pytest.raises(UserError, match="internal_weight divides by probabilities, of which many are 0"):
        translator.fuse(model, 0.2, 0.1)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    language_model().save_pretrained(tmp_path / "lm")
    (tmp_path / "in").write_text("".join(line + "\n" for line in TEXTS))
    words = [str(STORED), "--lm", str(tmp_path / "lm"), "--lm-weight", "0.9", "--ilm-weight", "0.5"]
    assert main(["translate", *words[:1], str(tmp_path / "in"), *words[1:], "--scores"]) == 0
    translator = seq2seq.load(STORED)
    translator.fuse(language_model(), 0.9, 0.5)
    best = [each[0] for each in translator.search(TEXTS)]
    assert capsys.readouterr().out.splitlines() == [f"{each.score:.6f}\t{each.text}" for each in best]
    rows = [json.dumps({"s": text, "t": text.upper()}) + "\n" for text in TEXTS[:3]]
    (tmp_path / "test.jsonl").write_text("".join(rows))
    data = ["--data", str(tmp_path), "--source", "s", "--target", "t", "--output", str(tmp_path / "o")]
    assert main(["evaluate", *words, *data, "--metrics", "accuracy"]) == 0
    (written,) = (tmp_path / "o").glob("*lm=lm-weight=0.9-internal_weight=0.5*.hypotheses.txt")
    assert written.read_text().splitlines() == [each.text for each in best[:3]]
    characters = STORED.with_name("characters-0.1.0-format2")
    for given, said in (
        (["--lm", str(characters)], f"--lm {characters}: the language model is not of the vocabulary that this run"),
        (["--lm-weight", "0.1"], "--lm-weight and --ilm-weight go with --lm"),
        (["--lm", str(STORED)], "translator"),
    ):
        assert main(["translate", str(STORED), str(tmp_path / "in"), *given]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert said in line


@pytest.mark.parametrize(
    "options",
    [
        {"prefixes": ["KO", "", "", ""], "no_repeat_ngram": 2},
        {"beam_size": 4, "beam_groups": 2},
        {"terms": [["RA"], [], ["SO"], []]},
        {"coverage_penalty": 0.5, "length_reward": 0.1},
        {"mbr": "chrf"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_ways_of_decoding_go_with_it(options: dict[str, object]) -> None:
    """In an ensemble, too; the order and the company of sentences change nothing."""
    translator = seq2seq.load(STORED)
    translator.join(seq2seq.load(STORED))
    translator.fuse(language_model(), 0.3, 0.2)
    found = translator.search(TEXTS, 2, **options)  # type: ignore[arg-type]
    turned = {name: value[::-1] if isinstance(value, list) else value for name, value in options.items()}
    for one, other in zip(translator.search(TEXTS[::-1], 2, **turned)[::-1], found, strict=True):  # type: ignore[arg-type]
        assert [each.text for each in one] == [each.text for each in other]
    if "terms" in options:
        assert "RA" in found[0][0].text
        assert "SO" in found[2][0].text
    if "prefixes" in options:
        assert found[0][0].text.startswith("KO")
