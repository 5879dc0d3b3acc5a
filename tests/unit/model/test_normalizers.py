"""Sparse maps from scores to probabilities: by bisection, in attention, in the loss and in search."""

import itertools
import math
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import collate, collate_to_decode
from seq2seq.data.units import unit_vocabulary
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.inference.fast_decoder import InferenceDecoder, prepare
from seq2seq.inference.translator import Translator
from seq2seq.model.attention import attention_weights
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.normalizers import log_probabilities, probabilities, sparse_loss
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.search.beam import SearchConfig, beam_search, greedy_search
from seq2seq.search.sampling import sample, stochastic_beam_search
from seq2seq.tasks.configs import ExperimentConfig

pytest.importorskip("entmax")
SPARSE = {"sparsemax": 2.0, "entmax15": 1.5}
"""With the alpha of each (Peters et al. 2019, eq. 7)."""
SPREAD = {"sparsemax": 1.5, "entmax15": 1.8}
"""What weights are multiplied by, so that about half of the tokens are impossible."""
PAIRS = [([4, 5, 6], [7, 8]), ([5], [9, 4, 4]), ([9, 9, 8, 7, 6, 5, 4], [5])]


def by_bisection(scores: Tensor, alpha: float) -> Tensor:
    """p = max((alpha - 1) z - t, 0)^(1 / (alpha - 1)), with the t at which they sum to one (Peters et al. 2019, eq.
    11)."""
    scaled = (alpha - 1) * scores
    below = scaled.amax(-1, keepdim=True) - 1
    above = below + 1
    for _ in range(60):
        middle = (below + above) / 2
        enough = ((scaled - middle).clamp(min=0) ** (1 / (alpha - 1))).sum(-1, keepdim=True) >= 1
        below, above = torch.where(enough, middle, below), torch.where(enough, above, middle)
    return (scaled - below).clamp(min=0) ** (1 / (alpha - 1))


@pytest.mark.parametrize("kind", SPARSE)
def test_probabilities_are_those_of_bisection(kind: Any) -> None:
    torch.manual_seed(1)
    scores = torch.randn(50, 3, 12, dtype=torch.float64) * torch.tensor([0.1, 1, 30])[None, :, None]
    scores[0, 0] = 2.0  # all alike
    found = probabilities(scores, kind)
    torch.testing.assert_close(found, by_bisection(scores, SPARSE[kind]), rtol=1e-9, atol=1e-9)
    assert (found == 0).any() and (found[:, 2] == 0).float().mean() > 0.8
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: probabilities(given, kind)[:5], (scores,), fast_mode=True)


@pytest.mark.parametrize("kind", SPARSE)
def test_padding_has_no_weight_and_no_gradient(kind: Any) -> None:
    scores = torch.randn(2, 3, 6, requires_grad=True)
    mask = torch.tensor([[True] * 6, [True, False, False, False, False, False]])
    weights = attention_weights(scores, mask, torch.float32, kind)
    (weights * torch.randn_like(weights)).sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all() and not scores.grad[1].any()
    assert (weights[1, :, 0] == 1).all() and not weights[1, :, 1:].any()


@pytest.mark.parametrize("kind", SPARSE)
def test_the_loss_by_its_definition(kind: Any) -> None:
    """Omega*(z) - z_y with Omega the Tsallis entropy's negative (Peters et al. 2019, eq. 14); the smoothed one is the
    mean over smoothed targets but for what does not depend on z."""
    torch.manual_seed(1)
    logits, labels, alpha = torch.randn(7, 9, dtype=torch.float64) * 2, torch.arange(7), SPARSE[kind]
    probs = by_bisection(logits, alpha)
    omega = ((probs**alpha).sum(-1) - 1) / (alpha * (alpha - 1))
    conjugate = (probs * logits).sum(-1) - omega
    expected = conjugate - logits.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(sparse_loss(logits, labels, kind, 0.0), expected)
    smoothed = 0.9 * expected + 0.1 * (conjugate - logits.mean(1))
    torch.testing.assert_close(sparse_loss(logits, labels, kind, 0.1), smoothed)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(sparse_loss(logits, labels, kind, 0.1).sum(), logits)
    target = torch.full_like(probs, 0.1 / 9).scatter_add_(1, labels[:, None], torch.full((7, 1), 0.9).double())
    torch.testing.assert_close(gradient, probs - target)


def sparse_model(kind: Any, lexical: bool = False) -> Seq2Seq:
    torch.manual_seed(3)
    decoder = DecoderConfig(12, 2, attention_normalizer=kind, output_normalizer=kind)
    model = build_model(ModelConfig(8, 0.0, "two_way", EncoderConfig(6), decoder, lexical=lexical), 10, 10)
    for parameter in model.parameters():
        parameter.data.mul_(SPREAD[kind])
    model.decoder.output.bias.data[0] = -1e4
    return model.eval()


@pytest.mark.parametrize("lexical", [False, True])
@pytest.mark.parametrize("kind", SPARSE)
def test_unrolled_stepwise_and_prepared_distributions_are_one(kind: str, lexical: bool) -> None:
    model = sparse_model(kind, lexical).double()
    batch = collate(PAIRS)
    output = model(batch.source, batch.source_lengths, batch.target_input)
    unrolled = model.decoder.log_probs(output).exp()
    torch.testing.assert_close(unrolled.sum(-1), torch.ones_like(unrolled[..., 0]))
    assert (unrolled == 0).float().mean() > 0.2, "sparse in places"
    prepared = prepare(model)
    assert isinstance(prepared, InferenceDecoder)
    with torch.inference_mode():
        plain = model.start(batch.source, batch.source_lengths)
        fast = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        for position in range(batch.target_input.shape[1]):
            tokens = batch.target_input[:, position]
            log_probs, plain = model.step(tokens, plain)
            prepared_ones, fast = prepared.step(tokens, fast)
            for each in (log_probs, prepared_ones):
                torch.testing.assert_close(each.exp(), unrolled[:, position], rtol=1e-9, atol=1e-9)
    loss = model.decoder.loss(output, batch.target_output, 0.1)
    rows = model.decoder.logits(output.features)[batch.target_output != 0]
    labels = batch.target_output[batch.target_output != 0]
    expected = sparse_loss(rows, labels, kind, 0.1).sum()  # type: ignore[arg-type]
    torch.testing.assert_close(loss.total, expected)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(each, parameters, retain_graph=True) for each in (loss.total, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", SPARSE)
def test_a_wide_beam_equals_exhaustive_search(kind: str) -> None:
    """All outputs that are possible, and none that is not, however many are asked for; scores of impossible ones are
    -inf, never undefined."""
    model = sparse_model(kind)
    source, limit = [4, 5, 6], 3
    expected = {}
    for length in range(limit):
        outputs = list(itertools.product([token for token in range(1, 10) if token != 3], repeat=length))
        pairs = [(source, tokens) for tokens in [*outputs, (5, 5, 5)]]  # beside a longer one, whose padding they share
        forced, _, _ = score_pairs(model, collate(pairs))
        assert not forced.isnan().any()
        expected |= dict(zip(outputs, (forced / (length + 1)).tolist(), strict=False))
    possible = {tokens: score for tokens, score in expected.items() if score > -15}
    assert 3 < len(possible) < len(expected) / 2
    batch, prepared = collate([(source, [])]), prepare(model)
    with torch.inference_mode():
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        config = SearchConfig(beam_size=300)
        found = beam_search(prepared.step, state, torch.tensor([limit]), config, 2, 3, n_best=300)[0]
    likely = [each for each in found if each.score > -15]
    assert [tuple(each.tokens) for each in likely] == sorted(possible, key=lambda tokens: -possible[tokens])
    assert [each.score for each in likely] == pytest.approx(sorted(possible.values(), reverse=True), abs=1e-4)
    assert all(each.log_probability > -math.inf for each in found)


@pytest.mark.parametrize("kind", SPARSE)
def test_every_way_of_search_ends(kind: str) -> None:
    """Where end of sentence has no probability at any step, an output ends at its longest length."""
    model = sparse_model(kind)
    model.decoder.output.bias.data[3] = -1e3
    batch, prepared = collate_to_decode([([4, 5], []), ([6], [])]), prepare(model)
    limits = torch.tensor([4, 6])
    with torch.inference_mode():
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        greedy = greedy_search(prepared.step, state, limits, 2, 3)
        beam = beam_search(prepared.step, state, limits, SearchConfig(beam_size=4), 2, 3, n_best=4)
        drawn = [
            way(prepared.step, state, limits, SearchConfig(), 2, 3, 3, [1, 2])
            for way in (sample, stochastic_beam_search)
        ]  # type: ignore[operator]
    assert [len(each) for each in greedy] == [3, 5]
    for found in (beam, *drawn):
        assert all(pool for pool in found)
        assert all(len(each.tokens) == 3 and each.score > -math.inf for each in found[0])


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = DecoderConfig(output_normalizer="sparsemax")
    with pytest.raises(UserError, match=r"model\.copy mixes with a softmax"):
        ModelConfig(copy=True, decoder=sparse)
    with pytest.raises(UserError, match=r"model\.alignment hard sums over probabilities by softmax"):
        ModelConfig(alignment="hard", decoder=DecoderConfig(coupling="none", attention_normalizer="entmax15"))
    for objective in ({"r_drop": 1.0}, {"minimum_risk_samples": 2}, {"focal_gamma": 1.0}):
        with pytest.raises(UserError, match=r"take the logarithm of probabilities, which are 0 in part"):
            ExperimentConfig(data="any", source="a", target="b", model=ModelConfig(decoder=sparse), **objective)
    monkeypatch.setitem(sys.modules, "entmax", None)
    for decoder in (sparse, DecoderConfig(attention_normalizer="entmax15")):
        with pytest.raises(UserError, match=r"sparsemax and entmax15 need entmax: pip install 'seq2seq\[sparse\]'"):
            build_model(ModelConfig(decoder=decoder), 10, 10)


def test_the_end_always_has_some_probability() -> None:
    found = log_probabilities(torch.tensor([[9.0, 0, 0, 0]]), "sparsemax", last=3)
    assert found[0, 0] == 0 and found[0, 3].isfinite() and (found[0, 1:3] == -math.inf).all()


@pytest.mark.parametrize("options", [{"prefixes": ["cc"]}, {"terms": [["c"]]}, {"min_length": 4}])
def test_what_is_asked_for_is_written_though_its_probability_is_zero(options: dict[str, Any]) -> None:
    vocabulary = unit_vocabulary(["a b c", "abc ac"], "characters", VocabularyConfig(), 1)
    torch.manual_seed(1)
    config = ModelConfig(8, 0.0, "two_way", EncoderConfig(6), DecoderConfig(12, output_normalizer="sparsemax"))
    model = build_model(config, len(vocabulary), len(vocabulary))
    model.decoder.output.bias.data[vocabulary.encode("b")[0]] = 30.0
    model.decoder.output.bias.data[3] = 60.0  # all is end of sentence, whatever was written
    translator = Translator(model, config, vocabulary, vocabulary)
    assert translator.translate(["ab"]) == [""]
    (best,) = translator.search(["ab"], max_length=6, **options)[0]
    assert len(best.tokens) >= 3 if "min_length" in options else "c" in best.text
    assert best.score > -math.inf
