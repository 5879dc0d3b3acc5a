"""The model card says what the model is, in a form that the Hub reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import g2p
import pytest
import yaml

from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import corpus_scores
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.runs.provenance import provenance
from seq2seq.tasks.evaluate import Evaluation
from seq2seq.tasks.model_card import model_card
from seq2seq.tasks.translation import run
from tests.conftest import toy_config


def card(
    folder: Path, source: str, target: str, encoder: EncoderConfig, license: str = "unknown"
) -> tuple[dict[str, Any], str]:
    """The front matter, as YAML 1.1 reads it, and the text."""
    (folder / "provenance.json").write_text(json.dumps(provenance(1, "0" * 64, "", 1)))
    config = toy_config(folder / "data", folder)
    config = replace(
        config, source=source, target=target, license=license, model=replace(config.model, encoder=encoder)
    )
    scores = corpus_scores(["ba"], [["BA"]])
    _, front, text = model_card(folder, config, Evaluation(["ba"], [["BA"]], [], scores, scores), 5).split("---\n", 2)
    return yaml.safe_load(front), text


@pytest.mark.parametrize(
    ("columns", "languages"),
    [
        (("no", "de"), ["no", "de"]),
        (("en", "zh_Hant"), ["en", "zh-Hant"]),
        (("pt-BR", "question"), ["pt-BR"]),
        (("word", "phonemes"), None),
        (("english", "中文"), ["en", "zh"]),
        (("jpn", "cmn"), ["ja", "cmn"]),
        (("src", "trg"), None),
    ],
)
def test_languages_are_codes_that_yaml_takes_for_text(
    columns: tuple[str, str], languages: list[str] | None, tmp_path: Path
) -> None:
    front, _ = card(tmp_path, *columns, EncoderConfig())
    assert front.get("language") == languages


@pytest.mark.parametrize(
    ("metric", "first"),
    [
        ("bleu", "| BLEU |"),
        ("error_rate", "| word error rate (of tokens between spaces), % | 33.33 |"),
        ("character_error_rate", "| character error rate, % | 20.00 |"),
        ("accuracy", "| exact match, % | 50.00 |"),
    ],
)
def test_the_figure_that_chose_the_best_model_comes_first(metric: str, first: str, tmp_path: Path) -> None:
    config = toy_config(tmp_path / "data", tmp_path, best_metric=metric)
    (tmp_path / "provenance.json").write_text(json.dumps(provenance(1, "0" * 64, "", 1)))
    scores = corpus_scores(["B AH", "K"], [["B IH"], ["K"]])
    evaluation = Evaluation(["b u", "k"], [["B IH"], ["K"]], [], scores, scores)
    text = model_card(tmp_path, config, evaluation, beam_size=5)
    rows = [line for line in text.split("\n") if line.startswith("| ")]
    assert rows[1].startswith(first)
    assert len({row.split("|")[1] for row in rows}) == 8  # none is left out or repeated
    assert "The best model was chosen by" in text


def test_the_card_of_g2p_begins_with_its_phoneme_error_rate(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps(provenance(1, "0" * 64, "", 1)))
    scores = corpus_scores(["B AH", "K"], [["B IH"], ["K"]])
    text = model_card(tmp_path, g2p.CONFIG, Evaluation(["b u", "k"], [["B IH"], ["K"]], [], scores, scores), 5)
    assert [line for line in text.split("\n") if line.startswith("| ")][1].startswith("| word error rate")
    assert "The best model was chosen by error rate (%) on split validation." in text


@pytest.mark.parametrize(
    ("encoder", "named"),
    [
        (EncoderConfig(8, 2), "2-layer bidirectional LSTM encoder (8 units a direction), 2-layer LSTM decoder"),
        (EncoderConfig(8, direction="forward", cell="gru"), "1-layer GRU encoder (8 units),"),
        (EncoderConfig(8, direction="backward", cell="peephole"), "1-layer backward peephole LSTM encoder (8 units),"),
        (EncoderConfig(8, cell="rnn", forward_layers=2), "RNN encoder (8 units a direction, 2 forward layers on top),"),
    ],
)
def test_the_encoder_is_named_as_it_is(encoder: EncoderConfig, named: str, tmp_path: Path) -> None:
    _, text = card(tmp_path, "en", "de", encoder)
    assert named in text


@pytest.mark.parametrize(
    ("decoder", "named"),
    [
        (DecoderConfig(8, 2, cell="gru"), "2-layer GRU decoder (8 units), general attention (coupling bottom_up)."),
        (DecoderConfig(8, 1, attention="none", coupling="none"), "1-layer LSTM decoder (8 units), no attention."),
    ],
)
def test_the_decoder_is_named_as_it_is(decoder: DecoderConfig, named: str, tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps(provenance(1, "0" * 64, "", 1)))
    config = toy_config(tmp_path / "data", tmp_path)
    config = replace(config, model=replace(config.model, decoder=decoder))
    assert named in model_card(tmp_path, config, None, 5)
    object.__setattr__(config.model.encoder, "cell", "cell_to_come")
    object.__setattr__(config.model.decoder, "cell", "cell_to_come")
    assert model_card(tmp_path, config, None, 5).count("cell_to_come") == 2


@pytest.mark.parametrize("license", ["unknown", "cc-by-4.0", "no", "1.0"])
def test_the_licence_is_text_to_yaml(license: str, tmp_path: Path) -> None:
    front, _ = card(tmp_path, "en", "de", EncoderConfig(), license)
    assert front["license"] == license
    with pytest.raises(UserError, match="license must be an identifier"):
        replace(toy_config(tmp_path, tmp_path), license=f"{license}\ntags: [a]")


def test_a_run_without_a_test_split_has_a_card_without_figures(toy_data: Path, tmp_path: Path) -> None:
    run(replace(toy_config(toy_data, tmp_path, max_steps=1), test_split=""))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## Use" in text
    assert "Figures" not in text
