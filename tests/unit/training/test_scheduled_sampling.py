"""Scheduled sampling: what the decoder reads against the model's own probabilities."""

import math
from collections import Counter

import pytest
import torch

from seq2seq.data.batch import Batch, collate
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.errors import UserError
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.scheduled_sampling import drawn_tokens, sampled_inputs, scheduled_sampling
from tests.conftest import needs_bf16_layers

SOURCE, TARGET = [4, 5, 6], [6, 7, 4, 5, 6, 7, 4, 5, 6, 7]
COUNT = 4_000


def toy_model(dropout: float = 0.3, **options: str) -> Seq2Seq:
    torch.manual_seed(1)
    config = ModelConfig(6, dropout, "two_way", EncoderConfig(4), DecoderConfig(5, layers=2, **options))  # type: ignore[arg-type]
    model = build_model(config, 9, 9).double().train()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return model


def probabilities(model: Seq2Seq, batch: Batch) -> list[list[float]]:
    """Of each token after each true prefix, as the model gives them in use, step by step."""
    training = model.training
    state = model.eval().start(batch.source[:1], batch.source_lengths[:1])
    found = []
    for token in batch.target_input[0]:
        log_probs, state = model.step(token[None], state)
        found.append(log_probs[0].exp().tolist())
    model.train(training)
    return found


@pytest.mark.parametrize("coupling", ["bottom_up", "input_feeding"])
def test_tokens_are_drawn_by_the_models_probabilities(coupling: str) -> None:
    """With rate 1; a draw that is no token of a text leaves the true one. Longer than what is computed at a time."""
    model = toy_model(coupling=coupling)
    batch = collate([(SOURCE, TARGET)] * COUNT)
    torch.manual_seed(2)
    read = sampled_inputs(model, batch, 1.0)
    assert model.training
    assert (read[:, 0] == BOS_ID).all()
    for place, true in enumerate(TARGET, 1):
        shares = probabilities(model, batch)[place - 1]
        wanted = {token: shares[token] for token in range(9) if token not in (PAD_ID, BOS_ID, EOS_ID)}
        wanted[true] += sum(shares[symbol] for symbol in (PAD_ID, BOS_ID, EOS_ID))
        counted = Counter(read[:, place].tolist())
        assert counted.keys() <= wanted.keys()
        for token, share in wanted.items():
            spread = math.sqrt(share * (1 - share) / COUNT)
            assert counted[token] / COUNT == pytest.approx(share, abs=4.5 * spread + 1e-9)


def test_the_rate_is_the_share_of_tokens_that_make_room() -> None:
    """Each true token, here an unlikely one, stays with 1 - rate, or where it is drawn, or where no other is."""
    model = toy_model()
    batch = collate([(SOURCE, TARGET)] * COUNT)
    for rate in (0.0, 0.25, 0.6):
        torch.manual_seed(3)
        kept = (sampled_inputs(model, batch, rate) == batch.target_input)[:, 1 : len(TARGET) + 1].double().mean(0)
        for place, true in enumerate(TARGET, 1):
            shares = probabilities(model, batch)[place - 1]
            expected = 1 - rate * (1 - shares[true] - shares[PAD_ID] - shares[BOS_ID] - shares[EOS_ID])
            spread = math.sqrt(expected * (1 - expected) / COUNT)
            assert float(kept[place - 1]) == pytest.approx(expected, abs=4.5 * spread + 1e-9)


def test_the_loss_is_that_of_the_true_targets_after_what_was_read() -> None:
    model, batch = toy_model(0.0), collate([(SOURCE, TARGET), ([4], [5]), ([5, 5], [])] * 20)
    torch.manual_seed(4)
    loss = scheduled_sampling(0.5, 0.1)(model, batch)
    torch.manual_seed(4)
    read = sampled_inputs(model, batch, 0.5)
    assert (read != batch.target_input).any()
    padding = batch.target_input == PAD_ID
    torch.testing.assert_close(read[padding], batch.target_input[padding])
    expected = teacher_forcing(0.1)(model, batch._replace(target_input=read))
    torch.testing.assert_close(loss, expected)
    assert not read.requires_grad
    assert loss.total.requires_grad


@needs_bf16_layers
def test_gradients_under_autocast_are_those_of_the_same_inputs() -> None:
    """Weights that the first pass has cast, without gradients, are not those of the second."""
    model, batch = toy_model(0.0).float(), collate([(SOURCE, TARGET)] * 8)
    torch.manual_seed(4)
    read = sampled_inputs(model, batch, 0.5)
    found = []
    for objective, given in (
        (scheduled_sampling(0.5), batch),
        (teacher_forcing(), batch._replace(target_input=read)),
    ):
        torch.manual_seed(4)
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(model, given)
        found.append(torch.autograd.grad(loss.total, list(model.parameters())))
    assert all(each.abs().sum() > 0 for each in found[1])
    for sampled, plain in zip(*found, strict=True):  # a token may be drawn otherwise in bf16
        assert (sampled - plain).norm() < 0.3 * plain.norm()


def test_parts_keep_their_modes_and_outputs_need_steps() -> None:
    model, batch = toy_model(), collate([(SOURCE, TARGET)])
    model.encoder.eval()
    sampled_inputs(model, batch, 1.0)
    assert [model.training, model.encoder.training, model.decoder.training] == [True, False, True]

    class Whole(torch.nn.Module):
        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return model(*given).features

    with pytest.raises(UserError, match="scheduled_sampling takes a model's output step by step"):
        scheduled_sampling(0.5)(Whole(), batch)  # type: ignore[arg-type]


def test_a_token_without_probability_is_never_drawn() -> None:
    """As sparse output layers have them."""
    drawn = drawn_tokens(torch.tensor([0.0, 0.5, 0.0, 0.5]).expand(1_000, -1))
    assert set(drawn.tolist()) == {1, 3}


def test_one_objective_is_chosen() -> None:
    options = {"data": "data", "source": "en", "target": "de", "scheduled_sampling": 0.1}
    with pytest.raises(UserError, match="r_drop and scheduled_sampling are 2 objectives: choose one"):
        ExperimentConfig(**options, r_drop=1.0)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="scheduled_sampling"):
        ExperimentConfig(**{**options, "scheduled_sampling": 1.5})  # type: ignore[arg-type]
