"""The pointer-generator, beside its equations, numerical gradients and what it is for."""

from typing import Any

import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.model import losses
from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder
from seq2seq.model.decoder_state import Output
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.tasks.configs import ExperimentConfig
from tests.conftest import needs_bf16_layers

V, FEATURE = 10, 11
"""Pieces of the target; a source of 12 ids has two more, which are features."""
PAIRS = [([FEATURE, 4, 5, 4], [4, 9, 5]), ([6], [6, 6]), ([10, 11, 7, 8, 9, 4, 5], [7])]


def copying_model(dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(2)
    config = ModelConfig(6, dropout, "two_way", EncoderConfig(4), DecoderConfig(7), copy=True)
    model = build_model(config, 12, V)
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return model.double().eval()


@torch.no_grad()
def test_the_distribution_by_hand() -> None:
    """See et al. 2017, eq. 9, token by token; what attention gives to a feature goes to P_vocab."""
    model = copying_model()
    decoder: Any = model.decoder
    batch = collate(PAIRS)
    output = model(batch.source, batch.source_lengths, batch.target_input)
    found = decoder.log_probs(output).exp()
    plain = RecurrentDecoder.log_probs(decoder, output).exp()
    for row, (source, target) in enumerate(PAIRS):
        tokens = [*source, 3]
        for step in range(len(target) + 1):
            gate = torch.sigmoid(decoder.generation(output.features[row, step])).item()
            weights = output.attention[row, step]
            to_features = sum(float(weights[s]) for s, token in enumerate(tokens) if token >= V)
            for token in range(V):
                copied = sum(float(weights[s]) for s, each in enumerate(tokens) if each == token)
                generated = (gate + (1 - gate) * to_features) * float(plain[row, step, token])
                assert float(found[row, step, token]) == pytest.approx(generated + (1 - gate) * copied, abs=1e-12)
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))


@pytest.mark.parametrize("rows", [2, 256])
def test_gradients_of_the_loss(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numerical ones of all that the loss reads, in chunks of two rows and in one."""
    monkeypatch.setattr(losses, "CHUNK_ROWS", rows)
    model = copying_model()
    decoder: Any = model.decoder
    batch = collate(PAIRS)
    with torch.no_grad():
        output = model(batch.source, batch.source_lengths, batch.target_input)

    def loss(features: Any, scores: Any, *_: Any) -> Any:
        given = Output(features, scores.softmax(-1), output.memory, batch.source)
        return decoder.loss(given, batch.target_output, 0.1).total

    scores = output.attention.clamp(min=1e-3).log()
    parameters = [decoder.output.weight, decoder.output.bias, *decoder.generation.parameters()]
    inputs = (output.features.requires_grad_(), scores.requires_grad_(), *parameters)
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


@needs_bf16_layers
def test_training_in_half_precision_gives_nearly_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_ROWS", 4)
    model = copying_model().float()
    batch = collate(PAIRS)
    found = []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = model(batch.source, batch.source_lengths, batch.target_input)
            model.decoder.loss(output, batch.target_output, 0.1).total.backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))  # type: ignore[union-attr]
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


def test_words_of_letters_never_seen_in_training_are_copied() -> None:
    """What it is for: of half of the letters the decoder has learned nothing, as none stood in training."""
    torch.manual_seed(1)
    letters, strange = range(4, 14), range(14, 24)
    config = ModelConfig(24, 0.0, "three_way", EncoderConfig(24), DecoderConfig(48), copy=True)
    model = build_model(config, 24, 24)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(40):
        words = [[letters[i] for i in torch.randint(10, (4,))] for _ in range(24)]
        batch = collate([(word, word) for word in words])
        output = model(batch.source, batch.source_lengths, batch.target_input)
        optimizer.zero_grad()
        loss = model.decoder.loss(output, batch.target_output)
        (loss.total / loss.tokens).backward()
        optimizer.step()
    model.eval()
    words = [[strange[i] for i in torch.randperm(10)[:4]] for _ in range(20)]
    batch = collate([(word, word) for word in words])
    best = model.decoder.log_probs(model(batch.source, batch.source_lengths, batch.target_input)).argmax(-1)
    assert (best[:, :4] == batch.target_output[:, :4]).float().mean() > 0.4, "without copying, 1 of 24 by chance"


def test_what_cannot_copy_is_refused() -> None:
    for options in ({"lexical": True}, {"encoder": EncoderConfig(subsampling=2)}):
        with pytest.raises(UserError, match=r"model\.copy .* goes without model\.lexical"):
            ModelConfig(copy=True, **options)  # type: ignore[arg-type]
    data = {"data": "any", "source": "a", "target": "b", "model": ModelConfig(tie="two_way", copy=True)}
    with pytest.raises(UserError, match=r"model\.copy .*: set vocabulary\.joint true, and source_units and target"):
        ExperimentConfig(**data, source_units="characters", target_units="symbols")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"model\.copy needs a source vocabulary that begins with the target's"):
        build_model(ModelConfig(tie="two_way", copy=True), 10, 12)
