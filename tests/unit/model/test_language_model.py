"""The language model stepwise and whole, sampling, and shallow fusion against exhaustive search."""

import itertools
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.data.characters import Characters
from seq2seq.data.loading import open_any
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.errors import UserError
from seq2seq.inference import character_model as character_model_module
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.decoding import score_pairs
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.language_model import LanguageModel, LanguageModelConfig, build_language_model
from seq2seq.model.recurrent import Cell
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.search.beam import SearchConfig, beam_search
from seq2seq.search.shallow_fusion import FusedState, shallow_fusion

V = 7


def language_model(cell: Cell = "lstm", seed: int = 0, size: int = V) -> LanguageModel:
    torch.manual_seed(seed)
    model = build_language_model(LanguageModelConfig(cell, hidden_size=8, layers=2, embedding_size=5), size)
    model.output.weight.data.mul_(4)  # sharp enough for its opinion to matter
    return model.eval()


@pytest.mark.parametrize("cell", get_args(Cell))
def test_stepwise_equals_the_whole(cell: Cell) -> None:
    model = language_model(cell)
    tokens = torch.tensor([[BOS_ID, 4, 5, 6, 4], [BOS_ID, 6, 6, 5, 4]])
    logits, mask = model(tokens, torch.tensor([5, 3]))
    assert mask.sum(1).tolist() == [5, 3]
    state = model.start(2)
    for step in range(5):
        log_probs, state = model.step(tokens[:, step], state)
        real = mask[:, step]
        torch.testing.assert_close(log_probs[real], logits[real, step].log_softmax(-1))


def test_shallow_fusion_equals_exhaustive_search() -> None:
    """Every output of up to three tokens, scored by both models whole; the beam is wide enough to prune none."""
    torch.manual_seed(1)
    small = ModelConfig(8, 0.0, "none", EncoderConfig(8), DecoderConfig(8))
    model, language = build_model(small, V, V).eval(), language_model(seed=2)
    model.decoder.output.weight.data.mul_(4)
    model.decoder.output.bias.data[PAD_ID] = -1e4  # as in a trained model, which has never seen padding as a target
    source, weight, limit = [4, 5], 0.7, 4
    expected = {}
    for length in range(limit):
        for tokens in itertools.product([token for token in range(V) if token not in (PAD_ID, EOS_ID)], repeat=length):
            own, _, _ = score_pairs(model, collate([(source, tokens)]))
            path = torch.tensor([[BOS_ID, *tokens]])
            with torch.inference_mode():
                logits, _ = language(path, torch.tensor([length + 1]))
            following = torch.tensor([*tokens, EOS_ID])
            opinion = logits[0].log_softmax(-1)[torch.arange(length + 1), following].sum()
            expected[tokens] = (float(own) + weight * float(opinion)) / (length + 1)
    batch = collate([(source, [])])
    with torch.inference_mode():
        state = FusedState(model.start(batch.source, batch.source_lengths), language.start(1))
        step = shallow_fusion(model.step, language.step, weight)
        found = beam_search(step, state, torch.tensor([limit]), SearchConfig(beam_size=300), BOS_ID, EOS_ID, 5)[0]
    best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
    assert [tuple(hypothesis.tokens) for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([expected[tokens] for tokens in best], abs=1e-5)


def character_model() -> CharacterModel:
    characters = Characters("abc\n")
    return CharacterModel(language_model(size=len(characters)), LanguageModelConfig(), characters)


def test_what_is_no_text_is_refused() -> None:
    unfit: Any = 5
    with pytest.raises(UserError, match="symbols must be a text of all characters, not int"):
        Characters(unfit)
    with pytest.raises(UserError, match="data is of type int; give a folder or a Hub id"):
        open_any(unfit, "train")


def test_characters_come_back_and_unknown_ones_are_marked(tmp_path: Path) -> None:
    characters = Characters.of(["ab\n", "ç b"])
    assert characters.decode(characters.encode("b ç\na")) == "b ç\na"
    assert characters.encode("x") == [UNK_ID]
    characters.save(tmp_path)
    assert Characters.load(tmp_path).symbols == characters.symbols
    (tmp_path / "characters.json").write_text('{"symbols": "aa"}')
    with pytest.raises(UserError, match=r"characters\.json"):
        Characters.load(tmp_path)


def test_samples_follow_the_models_distribution() -> None:
    model = character_model()
    log_probs, _ = model.model.step(torch.tensor([BOS_ID]), model.model.start(1))
    expected = log_probs[0, 4:].softmax(-1)  # special symbols are never drawn
    drawn = "".join(model.sample("", 1, seed=seed) for seed in range(600))
    for symbol, probability in zip("abc\n", expected.tolist(), strict=True):
        spread = math.sqrt(probability * (1 - probability) / 600)
        assert drawn.count(symbol) / 600 == pytest.approx(probability, abs=4 * spread)


def test_a_cold_sample_takes_the_likeliest_character_each_time() -> None:
    model = character_model()
    sample = model.sample("ab", 6, temperature=1e-4)
    ids = model.units.encode("ab" + sample)
    logits, _ = model.model(torch.tensor([[BOS_ID, *ids[:-1]]]), torch.tensor([len(ids)]))
    assert [4 + int(row[4:].argmax()) for row in logits[0, 2:]] == ids[2:]


def test_bits_per_character() -> None:
    model = character_model()
    ids = model.units.encode("abca\nb")
    logits, _ = model.model(torch.tensor([[BOS_ID, *ids[:-1]]]), torch.tensor([6]))
    expected = -logits[0].log_softmax(-1)[torch.arange(6), torch.tensor(ids)].mean() / math.log(2)
    assert model.bits_per_character("abca\nb") == pytest.approx(expected.item(), rel=1e-5)


def test_texts_together_have_the_bits_that_they_have_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = character_model()
    texts = ["abca\nb", "c", "ab" * 40, "unknown: abc", "\n\n"]
    expected = [model.bits_per_character(text) for text in texts]
    assert model.bits_of_each(texts) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(character_model_module, "LONGEST_AT_ONCE", 5)
    assert model.bits_of_each(texts) == pytest.approx(expected, rel=1e-5)


def both_directions() -> LanguageModel:
    torch.manual_seed(3)
    return build_language_model(LanguageModelConfig("lstm", 8, 2, 5, direction="both"), V).eval()


def test_the_loss_of_both_directions_is_that_of_two_readers() -> None:
    """Against steps one by one: the forward reader from the left, the backward one from the right, of padded rows."""
    model, lengths = both_directions(), [5, 3]
    rows = [[BOS_ID, 4, 5, 6, 4, 5], [4, 6, 5, 4]]
    expected = 0.0
    for row in rows:
        for step, order in ((model.step, row), (model.step_back, row[::-1])):
            state = model.start(1)
            for given, wanted in itertools.pairwise(order):
                log_probs, state = step(torch.tensor([given]), state)
                expected -= log_probs[0, wanted].item() / 2
    padded = torch.tensor([[*row, *[PAD_ID] * (6 - len(row))] for row in rows])
    following = padded[:, 1:]
    tokens = padded[:, :-1].masked_fill(following == PAD_ID, PAD_ID)
    loss = model.loss(tokens, torch.tensor(lengths), following)
    assert int(loss.tokens) == sum(lengths)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


def test_neither_direction_sees_what_the_other_has_read() -> None:
    model = both_directions()
    embedded: list[torch.Tensor] = []
    model.embedding.register_forward_hook(lambda _module, _given, found: embedded.append(found) or found.retain_grad())
    tokens, following, lengths = torch.tensor([[4, 5, 6, 5]]), torch.tensor([[5, 6, 5, 4]]), torch.tensor([4])
    assert model.backward_layers is not None
    for place in range(4):
        for layers, (given, count, _) in (
            (model.layers, (tokens, lengths, following)),
            (model.backward_layers, (following.flip(1), lengths, tokens.flip(1))),
        ):
            model._features(given, count, layers)[0, place].sum().backward()
            gradient = embedded.pop().grad
            assert gradient is not None
            seen = gradient[0].abs().sum(-1) > 0
            assert seen.tolist() == [step <= place for step in range(4)]


def test_bits_of_a_text_read_backwards() -> None:
    characters = Characters("abc\n")
    config = LanguageModelConfig("gru", 8, direction="both")
    model = CharacterModel(build_language_model(config, len(characters)).eval(), config, characters)
    ids = [BOS_ID, *characters.encode("abca\nb")]
    state, expected = model.model.start(1), 0.0
    for given, wanted in itertools.pairwise(ids[::-1]):
        log_probs, state = model.model.step_back(torch.tensor([given]), state)
        expected -= log_probs[0, wanted].item() / math.log(2)
    assert model.bits_per_character("abca\nb", backwards=True) == pytest.approx(expected / 6, rel=1e-5)
    with pytest.raises(UserError, match=r"reads forward only; train one with model\.direction both"):
        character_model().bits_per_character("abc", backwards=True)


def test_tied_weights_are_one_matrix() -> None:
    config = LanguageModelConfig(hidden_size=8, embedding_size=8, tie=True)
    model = build_language_model(config, V)
    assert model.output.weight is model.embedding.weight
    with pytest.raises(UserError, match=r"model\.tie needs a model\.embedding_size of 8, as model\.hidden_size has it"):
        LanguageModelConfig(hidden_size=8, embedding_size=5, tie=True)


def test_projected_states_step_as_the_whole_does() -> None:
    torch.manual_seed(4)
    config = LanguageModelConfig("lstm", 9, 2, embedding_size=3, proj_size=3, tie=True)
    model = build_language_model(config, V).eval()
    tokens = torch.tensor([[BOS_ID, 4, 5, 6], [BOS_ID, 6, 6, 5]])
    logits, _ = model(tokens, torch.tensor([4, 4]))
    state = model.start(2)
    assert (state.hidden.shape, state.cell.shape) == ((2, 2, 3), (2, 2, 9))
    for step in range(4):
        log_probs, state = model.step(tokens[:, step], state)
        torch.testing.assert_close(log_probs, logits[:, step].log_softmax(-1))
    with pytest.raises(UserError, match=r"model\.proj_size must be a whole number from 0 to 8, not 9"):
        LanguageModelConfig("lstm", 9, proj_size=9)
    with pytest.raises(UserError, match=r"model\.proj_size is for model\.cell lstm, not gru"):
        LanguageModelConfig("gru", 9, proj_size=3)


def test_recurrent_weights_are_dropped_in_training_alone() -> None:
    torch.manual_seed(5)
    model = build_language_model(LanguageModelConfig("lstm", 9, dropout=0.0, recurrent_dropout=0.5), V)
    tokens = torch.tensor([[BOS_ID, 4, 5, 6]])
    losses: dict[bool, set[float]] = {}
    for training in (True, False):
        model.train(training)
        losses[training] = {model.loss(tokens, torch.tensor([4]), tokens.roll(-1, 1)).total.item() for _ in range(4)}
    assert (len(losses[True]), len(losses[False])) == (4, 1)
