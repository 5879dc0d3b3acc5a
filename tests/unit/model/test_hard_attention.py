"""Hard attention: its likelihood beside a sum over all alignments one by one, and its best alignment beside the best of
them."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import collate
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.deploy.plans import plan_of
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.inference.translator import Translator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.search.beam import SearchConfig, beam_search
from tests.conftest import needs_bf16_layers
from tests.unit.model.stepwise import stepwise

PAIRS = [([4, 5, 6], [7, 8]), ([5], [9, 4]), ([9, 9], [])]
KINDS = ["hard", "monotonic"]
WAYS = [*itertools.product(KINDS, ["general", "additive"]), ("monotonic", "dot")]


def hard_model(kind: str, attention: Any = "general", dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(4)
    decoder = DecoderConfig(12, 2, attention, "none", deep_output=attention == "additive")
    model = build_model(ModelConfig(8, dropout, "two_way", EncoderConfig(6), decoder, alignment=kind), 10, 10)  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.data.mul_(2)  # a spread-out distribution: a flat one hides mistakes
    model.decoder.output.bias.data[0] = -1e4
    return model.eval()


def likelihoods(model: Seq2Seq, source: list[int], target: list[int]) -> dict[tuple[int, ...], float]:
    """p(a, y | x) of every alignment, by the definition alone."""
    decoder: Any = model.decoder
    batch = collate([(source, target)])
    memory = model.encode(batch.source, batch.source_lengths)
    start = decoder.start(memory)
    embedded = decoder.embedding(batch.target_input)
    hidden = embedded
    for number, layer in enumerate(decoder.recurrent_layers()):
        hidden = layer.run(hidden, (start.hidden[:, number], start.cell[:, number]))
    scorer, states = decoder.attention.scored, memory.states[0]
    keys = scorer.keys(memory.states)
    scores = scorer.scores(hidden, keys)[0]
    steps, found = len(states), {}
    for path in itertools.product(range(steps), repeat=len(target) + 1):
        total, before = 1.0, 0
        for position, at in enumerate(path):
            row = scores[position]
            if decoder.move is not None:
                row = (row + keys[0] @ decoder.move(states[before]))[before:]
            place = at - before if decoder.move is not None else at
            read = torch.cat((hidden[0, position], states[at], embedded[0, position]))
            read = read if decoder.deep_output else read[: -embedded.shape[-1]]
            written = decoder.output(torch.tanh(decoder.readout(read))).softmax(-1)
            token = batch.target_output[0, position]
            total *= float(row.softmax(-1)[place] * written[token]) if place >= 0 else 0.0
            before = at
            if total == 0.0:
                break
        found[path] = total
    return found


@torch.no_grad()
@pytest.mark.parametrize(("kind", "attention"), WAYS)
def test_the_likelihood_is_the_sum_over_all_alignments(kind: str, attention: str) -> None:
    model = hard_model(kind, attention).double()
    scores, _, paths = score_pairs(model, collate(PAIRS))
    for row, (source, target) in enumerate(PAIRS):
        every = likelihoods(model, source, target)
        assert scores[row].item() == pytest.approx(math.log(sum(every.values())), abs=1e-5)
        best = max(every, key=every.__getitem__)
        assert tuple(paths[row, : len(target) + 1].argmax(-1).tolist()) == best
        assert kind == "hard" or list(best) == sorted(best)
        assert paths[row, :, len(source) + 1 :].sum() == 0


@pytest.mark.parametrize(("kind", "attention"), WAYS)
def test_unrolled_equals_stepwise_and_so_do_gradients(kind: str, attention: str) -> None:
    model = hard_model(kind, attention).double()
    batch = collate(PAIRS)
    expected = stepwise(model, batch)
    output = model(batch.source, batch.source_lengths, batch.target_input)
    torch.testing.assert_close(model.decoder.log_probs(output), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(expected.logsumexp(-1), torch.zeros_like(expected[..., 0]))
    real = batch.target_output != 0
    plain = -(expected.gather(-1, batch.target_output[..., None])[..., 0] * real).sum()
    loss = model.decoder.loss(output, batch.target_output)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(each, parameters) for each in (loss.total, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
    assert all(each.abs().sum() > 0 for each in gradients[0])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_numerical_ones(kind: str) -> None:
    model = hard_model(kind).double()
    decoder: Any = model.decoder
    batch = collate(PAIRS)
    with torch.no_grad():
        memory = model.encode(batch.source, batch.source_lengths)

    def loss(states: Tensor, *_: Tensor) -> Tensor:
        output = decoder.unroll(batch.target_input, memory._replace(states=states))
        return decoder.loss(output, batch.target_output, 0.1).total

    inputs = (memory.states.requires_grad_(), decoder.readout.weight, decoder.output.bias)
    inputs += () if decoder.move is None else (decoder.move.weight,)
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_the_batch(kind: str) -> None:
    model = hard_model(kind)
    together, _, _ = score_pairs(model, collate(PAIRS, length_step=8))
    for row, pair in enumerate(PAIRS):
        assert together[row].item() == pytest.approx(score_pairs(model, collate([pair]))[0].item(), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_beam_equals_exhaustive_search(kind: str) -> None:
    """Every output of up to two tokens, of two sentences of which one ends first."""
    model = hard_model(kind)
    sources, limit = ([4, 5, 6], [7]), 3
    batch = collate([(source, []) for source in sources])
    with torch.inference_mode():
        state = model.start(batch.source, batch.source_lengths)
        found = beam_search(model.step, state, torch.tensor([limit, 2]), SearchConfig(beam_size=200), 2, 3, n_best=5)
    for row, source in enumerate(sources):
        expected = {}
        for length in range(limit - row):
            outputs = list(itertools.product([token for token in range(1, 10) if token != 3], repeat=length))
            forced, _, _ = score_pairs(model, collate([(source, tokens) for tokens in outputs]))
            expected |= dict(zip(outputs, (forced / (length + 1)).tolist(), strict=True))
        best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
        assert [tuple(hypothesis.tokens) for hypothesis in found[row]] == best
        assert [each.score for each in found[row]] == pytest.approx([expected[tokens] for tokens in best], abs=1e-4)


@needs_bf16_layers
def test_dropout_and_half_precision_leave_a_finite_loss() -> None:
    model = hard_model("monotonic", dropout=0.3).train()
    batch = collate(PAIRS)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch.source, batch.source_lengths, batch.target_input)
        loss = model.decoder.loss(output, batch.target_output, 0.1).total
    loss.backward()
    assert loss.isfinite() and all(parameter.grad.isfinite().all() for parameter in model.parameters())  # type: ignore[union-attr]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.alignment monotonic needs model\.decoder\.coupling none"):
        ModelConfig(alignment="monotonic")
    with pytest.raises(UserError, match=r"model\.alignment hard goes with neither model\.lexical nor model\.copy"):
        ModelConfig(alignment="hard", decoder=DecoderConfig(coupling="none"), copy=True)


def test_it_is_not_exported() -> None:
    vocabulary = Vocabulary.train(["a b c d e f g"], VocabularyConfig(model_type="char"))
    decoder = DecoderConfig(6, coupling="none")
    config = ModelConfig(8, 0.0, encoder=EncoderConfig(3), decoder=decoder, alignment="hard")
    translator = Translator(build_model(config, len(vocabulary), len(vocabulary)), config, vocabulary, vocabulary)
    with pytest.raises(UserError, match=r"model\.alignment hard or monotonic has no form outside torch"):
        plan_of(translator)
    (alignment,) = translator.align(["a b"], ["c"])
    assert all(sorted(row)[-1] == sum(row) == 1 for row in alignment.weights)
