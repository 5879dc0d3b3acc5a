"""Minimum risk training against finite differences, sums in plain Python, and what it is for."""

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.inference.decoding import score_pairs
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.training.minimum_risk import draw_outputs, expected_cost, minimum_risk

BATCH = collate([([4, 5], [6, 7]), ([5], [7]), ([4, 4, 6], [])])


def toy_model() -> Seq2Seq:
    torch.manual_seed(1)
    model = build_model(ModelConfig(6, 0.0, "two_way", EncoderConfig(4), DecoderConfig(5)), 8, 8).double()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    model.decoder.output.bias.data[[0, 2]] = -1e4  # padding and begin of sentence are never targets
    return model


def cost(outputs: Sequence[list[int]], reference: list[int]) -> list[float]:
    """Share of tokens that only one of both has."""
    return [len({*each} ^ {*reference}) / (len({*each} | {*reference}) + 1) for each in outputs]


def test_the_gradient_is_that_of_finite_differences() -> None:
    """The same outputs are drawn for weights that hardly differ."""
    model, objective = toy_model(), minimum_risk(6, 0.5, cost)

    def total() -> torch.Tensor:
        torch.manual_seed(3)
        return objective(model, BATCH).total

    parameters = list(model.parameters())
    gradients = torch.autograd.grad(total(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        place = int(gradient.abs().argmax())
        values = []
        for change in (1e-6, -2e-6):
            parameter.data.view(-1)[place] += change
            values.append(total().item())
        parameter.data.view(-1)[place] += 1e-6
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(gradient.flatten()[place]), rel=1e-4, abs=1e-8)


def test_the_loss_is_the_mean_cost_by_weights_of_the_different_candidates() -> None:
    model, sharpness = toy_model(), 0.3
    torch.manual_seed(3)
    loss = minimum_risk(5, sharpness, cost)(model, BATCH)
    torch.manual_seed(3)
    expected, pairs = 0.0, [([4, 5], [6, 7]), ([5], [7]), ([4, 4, 6], [])]
    for (source, reference), outputs in zip(pairs, draw_outputs(model, BATCH, 5), strict=True):
        candidates = {tuple(each) for each in [reference, *outputs]}
        scored = {each: float(score_pairs(model, collate([(source, each)]))[0]) for each in candidates}
        weights = {each: math.exp(sharpness * score) for each, score in scored.items()}
        for each, weight in weights.items():
            expected += weight / sum(weights.values()) * cost([list(each)], reference)[0]
    assert loss.total.item() == pytest.approx(expected)
    assert int(loss.tokens) == 3
    assert math.isfinite(expected_cost(torch.tensor([-2e4, -2e4]), torch.ones(2), torch.tensor([0, 0])))


def test_outputs_are_drawn_by_their_probability() -> None:
    """Of those that end at once, and those of one token."""
    model = toy_model().train()
    torch.manual_seed(2)
    batch = collate([([4, 5], [6])])
    drawn = Counter(tuple(each) for each in draw_outputs(model, batch, 4_000)[0])
    assert model.training
    checked = 0
    for output in [(), *((token,) for token in (1, 4, 5, 6, 7))]:
        probability = math.exp(float(score_pairs(model.eval(), collate([([4, 5], output)]))[0]))
        checked += probability > 0.02
        spread = math.sqrt(probability / 4_000)
        assert drawn[output] / 4_000 == pytest.approx(probability, abs=4 * spread + 1e-9)
    assert checked >= 2


def test_training_lowers_the_risk() -> None:
    model, objective = toy_model(), minimum_risk(8, 1.0, cost)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    found = []
    for step in range(40):
        torch.manual_seed(step)
        loss = objective(model, BATCH).total
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
