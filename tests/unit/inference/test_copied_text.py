"""Letters that the vocabulary lacks, copied as they stand in the source."""

import pytest
import torch

from seq2seq.data.units import SourceVocabulary, Units, unit_vocabulary
from seq2seq.data.vocabulary import RightToLeft, Vocabulary, VocabularyConfig
from seq2seq.inference.simultaneous import wait_k
from seq2seq.inference.translator import Translator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import FeatureForm, ModelConfig, build_model


def copier(units: Units = "characters", features: FeatureForm | None = None) -> Translator:
    """A model that has learned nothing, and copies whatever it looks at."""
    torch.manual_seed(1)
    target = unit_vocabulary(["a b c", "abc ac"], units, VocabularyConfig(), 1)
    source: Vocabulary | SourceVocabulary = target
    if features:
        described = unit_vocabulary(["V N UP"], "symbols", VocabularyConfig(), 1)
        source = SourceVocabulary(target, described, 0 if features == "tokens" else 2)
    decoder = DecoderConfig(12)
    config = ModelConfig(8, 0.0, "two_way", EncoderConfig(6), decoder, features or "tokens", copy=True)
    model = build_model(config, len(source), len(target))
    model.decoder.generation.bias.data.fill_(-1e3)  # type: ignore[union-attr,operator]
    return Translator(model, config, source, target)


@pytest.mark.parametrize(
    ("units", "source"), [("characters", "Ñ"), ("characters", "ÑÖ"), ("symbols", "Ñ"), ("graphemes", "Ñ")]
)
def test_an_unknown_letter_is_written_as_it_is(units: Units, source: str) -> None:
    translator = copier(units)
    found = translator.search([source, "a", ""], n_best=3, min_length=2, max_length=4)
    assert found[0][0].text.replace(" ", "").replace(source, "") == "" and source in found[0][0].text
    assert all("⁇" not in each.text for each in found[0])
    assert set(found[1][0].text) <= {"a", " "} and found[2][0].text == ""
    assert translator.translate([source], no_unknown=True) == [""], "nothing else can be copied"


@pytest.mark.parametrize("features", ["tokens", "sum", "separate"])
def test_of_several_the_one_that_attention_goes_to(features: FeatureForm) -> None:
    """Unknown features are none of them."""
    translator = copier(features=features)
    text = "ÑaÖ\tZ;UP"
    for best in translator.search([text], n_best=5, min_length=2, max_length=6)[0]:
        (alignment,) = translator.align([text], [best])
        before = 2 if features == "tokens" else 0
        expected = ""
        for token, weights in zip(best.tokens, alignment.weights, strict=False):
            first, second = weights[before], weights[before + 2]
            expected += "a" if token != 1 else "Ñ" if first >= second else "Ö"
        assert best.text == expected


def test_from_right_to_left() -> None:
    translator = copier()
    options = {"n_best": 5, "min_length": 3, "max_length": 6}
    ahead = [each.text for each in translator.search(["ÑaÖb"], **options)[0]]  # type: ignore[arg-type]
    assert any(text != text[::-1] for text in ahead)
    translator.target_vocabulary = RightToLeft(translator.target_vocabulary)
    assert [each.text[::-1] for each in translator.search(["ÑaÖb"], **options)[0]] == ahead  # type: ignore[arg-type]


def test_spellings_stand_in_the_order_of_the_ids() -> None:
    plain = copier().target_vocabulary
    for vocabulary in (plain, RightToLeft(plain)):
        for text in ("ÑaÖb", "a\ud800"):
            (ids,), (spelled,) = vocabulary.encode_batch([text]), vocabulary.spellings([text])
            assert [bool(each) for each in spelled] == [each == 1 for each in ids]
    assert RightToLeft(plain).spellings(["ÑaÖb"]) == [["", "Ö", "", "Ñ"]]


def test_simultaneous_outputs_of_a_model_that_copies() -> None:
    """One that waits for the whole source writes as greedy search does."""
    translator = copier()
    texts = ["abcab", "ca"]
    expected = [best.tokens for (best,) in translator.search(texts, beam_size=1)]
    assert [each.tokens for each in wait_k(translator, texts, 20)] == expected


def test_models_that_do_not_copy_write_a_mark() -> None:
    translator = copier()
    plain = ModelConfig(8, 0.0, "two_way", EncoderConfig(6), DecoderConfig(12))
    model = build_model(plain, len(translator.source_vocabulary), len(translator.target_vocabulary))
    model.decoder.output.bias.data[1] = 1e3
    other = Translator(model, plain, translator.source_vocabulary, translator.target_vocabulary)
    assert "⁇" in other.translate(["Ñ"], max_length=3)[0]
