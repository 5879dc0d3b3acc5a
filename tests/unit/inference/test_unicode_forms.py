"""A run in a Unicode form understands texts of outputs in any form."""

from typing import Any

import pytest
import torch

from seq2seq.data.units import SourceVocabulary, unit_vocabulary
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.inference.translator import Translator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, build_model

COMPOSED, APART = "\u00e9a", "e\u0301a"


@pytest.fixture(scope="module")
def translator() -> Translator:
    torch.manual_seed(1)
    target = unit_vocabulary([APART], "characters", VocabularyConfig(size=8), seed=1)
    config = ModelConfig(8, 0.0, encoder=EncoderConfig(6), decoder=DecoderConfig(6))
    model = build_model(config, len(target), len(target))
    return Translator(model, config, SourceVocabulary(target, unicode="NFD"), target)


def test_targets_are_read_in_the_form_of_the_run(translator: Translator) -> None:
    assert translator.score([COMPOSED], [COMPOSED]) == translator.score([APART], [APART])
    assert translator.align([COMPOSED], [COMPOSED])[0].target == ["e", "\u0301", "a", "</s>"]


def test_so_are_prefixes_and_terms(translator: Translator) -> None:
    assert translator.search(["a"], prefixes=[COMPOSED])[0][0].text.startswith(APART)
    assert APART in translator.search(["a"], terms=[[COMPOSED]])[0][0].text
    for source in (COMPOSED, APART):
        assert APART in translator.translate([source], terminology={COMPOSED: COMPOSED})[0]


def test_so_is_what_is_banned(translator: Translator) -> None:
    options: dict[str, Any] = {"max_length": 4, "beam_size": 200}
    every = {each.text for each in translator.search(["a"], 200, **options)[0]}
    left = {each.text for each in translator.search(["a"], 200, ban=[COMPOSED], **options)[0]}
    assert every - left == {text for text in every if APART in text.split()} != set()
