"""Guided alignment against sums in plain Python, and what it is for."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.data.lexical_table import lexical_probabilities, pairs_to_learn_from
from seq2seq.data.symbols import EOS_ID, PAD_ID
from seq2seq.errors import UserError
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.decoder_state import Output
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.guided_alignment import TranslationTable, guided_alignment
from seq2seq.training.objectives import ComputeLoss, teacher_forcing
from tests.conftest import needs_bf16_layers

Pairs = list[tuple[list[int], list[int]]]
PAIRS: Pairs = [([4, 5, 4], [6, 7]), ([5], [7, 8, 6]), ([4, 6], [])]
V = 10


def table_of(pairs: Pairs) -> tuple[TranslationTable, dict[tuple[int, int], float]]:
    """The table of IBM Model 1, for the objective and for plain Python."""
    found = lexical_probabilities(pairs_to_learn_from(pairs))
    plain = {(one, other): share for one, other, share in zip(*(each.tolist() for each in found), strict=True)}
    return TranslationTable.of(*map(torch.from_numpy, found), V), plain


def model_of(size: int = 6, dropout: float = 0.0, **decoder: str) -> Seq2Seq:
    torch.manual_seed(3)
    sizes = EncoderConfig(size), DecoderConfig(size + 1, **decoder)  # type: ignore[arg-type]
    return build_model(ModelConfig(size, dropout, "two_way", *sizes), V, V)


def test_alignments_are_the_shares_of_each_source_token() -> None:
    """Of tokens that the table lacks there are none, nor of padding."""
    table, plain = table_of(PAIRS)
    unknown: Pairs = [*PAIRS, ([8, 4], [9, 6])]
    batch = collate(unknown)
    found = table.alignments(batch.source, batch.target_output).tolist()
    for row, (source, target) in enumerate(unknown):
        read = [*source, EOS_ID]
        for step, token in enumerate([*target, EOS_ID]):
            shares = [plain.get((one, token), 0.0) for one in read]
            expected = [share / sum(shares) if sum(shares) else 0.0 for share in shares]
            expected += [0.0] * (batch.source.shape[1] - len(read))
            assert found[row][step] == pytest.approx(expected, abs=1e-6)
    assert sum(found[3][0]) == 0
    assert found[3][1][0] == 0
    assert sum(found[3][1]) == pytest.approx(1)


@pytest.mark.parametrize("coupling", ["bottom_up", "input_feeding", "none"])
def test_the_loss_by_hand(coupling: str) -> None:
    model, batch = model_of(coupling=coupling).double(), collate(PAIRS)
    table, plain = table_of(PAIRS)
    loss = guided_alignment(0.7, lambda: table, 0.1)(model, batch)
    by_tokens = teacher_forcing(0.1)(model, batch)
    attention = model(*batch[:3]).attention.tolist()
    apart = 0.0
    for row, (source, target) in enumerate(PAIRS):
        for step, token in enumerate(target):
            shares = [plain.get((one, token), 0.0) for one in [*source, EOS_ID]]
            weights = attention[row][step]
            apart -= sum(share / sum(shares) * math.log(weights[place]) for place, share in enumerate(shares))
    assert loss.total.item() == pytest.approx(by_tokens.total.item() + 0.7 * apart, rel=1e-6)
    assert int(loss.tokens) == int(by_tokens.tokens)


def test_attention_learns_the_alignments() -> None:
    """Target token n + 1 stands for source token n, in the opposite order. Without guidance, which takes longer,
    attention does not know as much."""
    rng = random.Random(1)
    sources = [[rng.randrange(4, V - 1) for _ in range(rng.randrange(2, 6))] for _ in range(120)]
    pairs: Pairs = [(source, [token + 1 for token in source[::-1]]) for source in sources]
    table, _ = table_of(pairs)
    shares = {}
    for name, objective in {"guided": guided_alignment(1.0, lambda: table), "plain": teacher_forcing()}.items():
        model = model_of(24)
        _train(model, pairs, objective)
        batch = collate(pairs)
        looked = model.eval()(*batch[:3]).attention.argmax(-1)
        lengths = batch.source_lengths - 1  # without the end
        steps = torch.arange(batch.target_output.shape[1])
        real = (batch.target_output != PAD_ID) & (batch.target_output != EOS_ID)
        found = batch.source.gather(1, looked) == batch.source.gather(1, (lengths[:, None] - 1 - steps).clamp(min=0))
        shares[name] = float(found[real].double().mean())
    assert shares["guided"] > max(0.75, shares["plain"] + 0.1)


def _train(model: Seq2Seq, pairs: Pairs, objective: ComputeLoss) -> None:
    optimizer, order = torch.optim.Adam(model.parameters(), 0.02), np.random.default_rng(0)
    for _ in range(15):
        chosen = [pairs[row] for row in order.permutation(len(pairs))[:40]]
        loss = objective(model.train(), collate(chosen))
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        optimizer.step()


@needs_bf16_layers
def test_the_table_is_learned_and_moved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first loss: a CUDA graph would repeat the copy. In bf16, too, the loss is finite and has a gradient."""
    table, _ = table_of(PAIRS)
    calls: list[str] = []

    def moved(self: TranslationTable, device: torch.device) -> TranslationTable:
        calls.append("moved")
        return self

    def learn() -> TranslationTable:
        calls.append("learned")
        return table

    monkeypatch.setattr(TranslationTable, "to", moved)
    model, objective = model_of().train(), guided_alignment(1.0, learn)
    assert calls == []
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(model, collate(PAIRS))
        loss.total.backward()
    assert calls == ["learned", "moved"]
    gradient = model.decoder.attention.project.weight.grad  # type: ignore[union-attr]
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_attention_in_fp16_or_of_another_form_is_refused() -> None:
    table, _ = table_of(PAIRS)

    class Rounding(torch.nn.Module):
        def __init__(self, model: Seq2Seq, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.model, self.decoder, self.change = model, model.decoder, change

        def forward(self, *given: torch.Tensor) -> Output:
            output = self.model(*given)
            return output._replace(attention=self.change(output.attention))

    objective = guided_alignment(1.0, lambda: table)
    with pytest.raises(UserError, match=r"set trainer\.precision to fp32 or bf16"):
        objective(Rounding(model_of(), torch.Tensor.half), collate(PAIRS))
    with pytest.raises(UserError, match="a weight for each target and source token"):
        objective(Rounding(model_of(), lambda weights: weights[..., :1]), collate(PAIRS))


def test_what_cannot_be_guided_is_refused() -> None:
    options: dict[str, Any] = {"data": "data", "source": "en", "target": "de", "guided_alignment": 0.1}
    without = ModelConfig(decoder=DecoderConfig(attention="none", coupling="none"))
    hard = ModelConfig(decoder=DecoderConfig(coupling="none"), alignment="hard")
    sparse = ModelConfig(decoder=DecoderConfig(attention_normalizer="sparsemax"))
    beside = ModelConfig(tie="two_way", features="sum")
    options["features"] = "tags"
    for model in (without, hard, sparse, beside, ModelConfig(encoder=EncoderConfig(subsampling=2, layers=2))):
        with pytest.raises(UserError, match="guided_alignment guides soft attention"):
            ExperimentConfig(**options, model=model)
    with pytest.raises(UserError, match="leave streaming out"):
        ExperimentConfig(**options, model=ModelConfig(tie="two_way"), streaming=True)
