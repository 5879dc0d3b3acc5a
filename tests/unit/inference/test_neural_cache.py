"""The continuous cache against its definition, character by character, in plain Python."""

import math

import pytest
import torch

import seq2seq
from seq2seq.data.characters import Characters
from seq2seq.data.language_units import preceding
from seq2seq.errors import UserError
from seq2seq.inference import neural_cache
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.neural_cache import NeuralCache, bits_with_cache, tuned_cache
from seq2seq.model.language_model import LanguageModelConfig, build_language_model

TEXT = "abracadabra, abracadabra"


@pytest.fixture(scope="module")
def model() -> CharacterModel:
    torch.manual_seed(1)
    units, config = (
        Characters("".join(sorted(set(TEXT)))),
        LanguageModelConfig(hidden_size=6, layers=2, embedding_size=4),
    )
    network = build_language_model(config, len(units)).double()
    for parameter in network.parameters():
        parameter.data.mul_(2)
    return CharacterModel(network, config, units)


def by_definition(model: CharacterModel, text: str, cache: NeuralCache) -> float:
    ids = model.units.encode(text)
    state, past, bits = model.model.start(1), [], 0.0
    for given, wanted in zip(preceding(ids), ids, strict=False):
        with torch.no_grad():
            log_probs, state = model.model.step(torch.tensor([given]), state)
        hidden = state.hidden[0, -1].tolist()
        probability = math.exp(float(log_probs[0, wanted]))
        if past:
            scores = [
                math.exp(cache.sharpness * sum(a * b for a, b in zip(hidden, key, strict=True))) for key, _ in past
            ]
            found = sum(score for score, (_, token) in zip(scores, past, strict=True) if token == wanted)
            probability = (1 - cache.weight) * probability + cache.weight * found / sum(scores)
        bits -= math.log2(probability)
        past = [*past, (hidden, wanted)][-cache.size :]
    return bits / len(text)


@pytest.mark.parametrize("together", [1, 5, 512])
def test_bits_by_definition(model: CharacterModel, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural_cache, "STEPS_AT_A_TIME", together)
    for cache in (NeuralCache(3, 0.3, 0.6), NeuralCache(7, 0.5, 2.0), NeuralCache(100, 0.2, 0.0)):
        assert bits_with_cache(model, TEXT, cache) == pytest.approx(by_definition(model, TEXT, cache), rel=1e-5)
    assert bits_with_cache(model, TEXT, NeuralCache(9, 0.0)) == pytest.approx(model.bits_per_character(TEXT), rel=1e-6)


def test_the_cache_that_is_chosen_is_the_best_of_those_tried(model: CharacterModel) -> None:
    chosen = tuned_cache(model, TEXT, 50)
    tried = {
        (weight, sharpness): by_definition(model, TEXT, NeuralCache(50, weight, sharpness))
        for weight in neural_cache.WEIGHTS
        for sharpness in neural_cache.SHARPNESSES
    }
    assert (chosen.weight, chosen.sharpness) == min(tried, key=tried.__getitem__)
    assert bits_with_cache(model, TEXT, chosen) < model.bits_per_character(TEXT)


def test_what_is_no_cache_or_text(model: CharacterModel) -> None:
    for cache, said in ((NeuralCache(0), "size"), (NeuralCache(5, 1.0), "weight"), (NeuralCache(5, 0.1, -1), "sharp")):
        with pytest.raises(UserError, match=said):
            seq2seq.bits_with_cache(model, TEXT, cache)
    with pytest.raises(UserError, match="empty"):
        seq2seq.bits_with_cache(model, "", NeuralCache())
    with pytest.raises(UserError, match="model must be of type CharacterModel"):
        seq2seq.tuned_cache("runs/lm", TEXT)  # type: ignore[arg-type]
