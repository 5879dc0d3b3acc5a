"""Recorded steps against plain ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.batching import Batch, collate
from seq2seq.config import UserError
from seq2seq.cuda_graphs import Graphed
from seq2seq.experiment import run
from seq2seq.losses import LossSum
from seq2seq.model import ModelConfig, build_model
from seq2seq.objectives import teacher_forcing
from tests.conftest import toy_config


def test_graphs_need_a_gpu(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.cuda_graphs needs a GPU"):
        run(toy_config(toy_data, tmp_path / "run", device="cpu", cuda_graphs=True))


@pytest.mark.gpu
@pytest.mark.parametrize("coupling", ["none", "bottom_up", "input_feeding"])
def test_replayed_gradients_equal_plain_ones(coupling: str) -> None:
    """Dropout included: of three batches of one shape the first runs plainly, the second is recorded, all are replayed
    afterwards."""
    config = ModelConfig(dropout=0.3)
    torch.manual_seed(0)
    decoder = replace(config.decoder, hidden_size=24, coupling=coupling)
    model = build_model(replace(config, decoder=decoder), 30, 30).cuda().train()
    compute_loss = teacher_forcing(0.1)
    generator = torch.Generator().manual_seed(1)
    pairs = [[(torch.randint(4, 30, (6,), generator=generator).tolist(), [5, 6, 7]), ([8, 9], [4])] for _ in range(3)]
    batches = [collate(each).to(torch.device("cuda")) for each in pairs]

    def add_gradients(batch: Batch) -> LossSum:
        loss = compute_loss(model, batch)
        loss.total.backward()
        return LossSum(loss.total.detach(), loss.tokens)

    def found(add: Callable[[Batch], LossSum]) -> list[list[torch.Tensor]]:
        rounds = []
        for seed, batch in enumerate(batches * 2):
            model.zero_grad(set_to_none=False)
            torch.manual_seed(seed)
            loss = add(batch)
            rounds.append([loss.total.clone(), *(weight.grad.clone() for weight in model.parameters())])
        return rounds

    torch.testing.assert_close(found(Graphed(add_gradients)), found(add_gradients), rtol=1e-4, atol=1e-5)
