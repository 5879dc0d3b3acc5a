"""The ensemble's step against probabilities worked out member by member."""

import itertools

import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.search.beam import SearchConfig, beam_search
from seq2seq.search.ensemble import EnsembleState, ensemble

V = 7


def member(seed: int, size: int) -> Seq2Seq:
    torch.manual_seed(seed)
    model = build_model(ModelConfig(8, 0.0, "none", EncoderConfig(size), DecoderConfig(size)), V, V).eval()
    model.decoder.output.weight.data.mul_(4)
    model.decoder.output.bias.data[PAD_ID] = -1e4  # as in a trained model, which has never seen padding as a target
    return model


@torch.inference_mode()
def probabilities(model: Seq2Seq, source: list[int], tokens: list[int]) -> torch.Tensor:
    """[T, V] of every next token after each prefix, by the plain forward pass."""
    batch = collate([(source, tokens)])
    features = model(batch.source, batch.source_lengths, batch.target_input).features
    return model.decoder.output(features)[0].softmax(-1)


def test_search_with_an_ensemble_equals_exhaustive_search_by_mean_probabilities() -> None:
    members, source, limit = [member(1, 8), member(2, 12), member(3, 8)], [4, 5], 3
    expected = {}
    for length in range(limit):
        for tokens in itertools.product([token for token in range(V) if token not in (PAD_ID, EOS_ID)], repeat=length):
            mean = torch.stack([probabilities(each, source, list(tokens)) for each in members]).mean(0)
            chosen = mean[torch.arange(length + 1), torch.tensor([*tokens, EOS_ID])]
            expected[tokens] = float(chosen.log().sum()) / (length + 1)
    batch = collate([(source, []), ([6], [])])
    with torch.inference_mode():
        state = EnsembleState(tuple(each.start(batch.source, batch.source_lengths) for each in members))
        step = ensemble([each.step for each in members])
        limits = torch.tensor([limit, limit])
        found = beam_search(step, state, limits, SearchConfig(beam_size=100), BOS_ID, EOS_ID, 5)[0]
    best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
    assert [tuple(hypothesis.tokens) for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([expected[tokens] for tokens in best], abs=1e-5)
