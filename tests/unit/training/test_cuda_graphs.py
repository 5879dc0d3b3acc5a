"""Recorded steps against plain ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seq2seq.config import to_dict, write_run_config
from seq2seq.data.batch import Batch, collate
from seq2seq.errors import UserError
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runtime.device import Precision
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import refuse_changes
from seq2seq.tasks.configs import LanguageModelTask
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer
from tests.unit.training.test_trainer import Fixed


def test_graphs_need_a_gpu(tmp_path: Path) -> None:
    asked = LanguageModelTask(trainer=TrainerConfig(cuda_graphs=True))
    with pytest.raises(UserError, match=r"trainer\.cuda_graphs needs a GPU; set it to false"):
        Trainer(tmp_path, asked.trainer, OptimizerConfig())
    write_run_config(tmp_path / CONFIG_FILE, to_dict(asked), asked.kind)
    refuse_changes(tmp_path, LanguageModelTask())  # which lets the run go on as the message advises


def random_batch(rows: int, generator: torch.Generator) -> Batch:
    lengths = torch.randint(3, 9, (rows,), generator=generator).tolist()
    ids = [torch.randint(4, 30, (length,), generator=generator).tolist() for length in lengths]
    return collate([(source, source[::-1]) for source in [[5] * 9, *ids]])  # the first makes them one shape


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 1e-2), ("fp16", 1e-3)])
@pytest.mark.parametrize("coupling", ["none", "bottom_up", "input_feeding"])
def test_recorded_steps_train_as_plain_ones(
    coupling: str, precision: Precision, tolerance: float, tmp_path: Path
) -> None:
    """Dropout included. Two shapes take turns, so that each runs plainly, is recorded and is replayed."""
    config = ModelConfig(dropout=0.3)
    config = replace(config, decoder=replace(config.decoder, coupling=coupling))
    generator = torch.Generator().manual_seed(1)
    groups = [[random_batch(rows, generator) for _ in range(2)] for rows in (7, 15) * 4]

    def trained(cuda_graphs: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = build_model(config, 30, 30)
        settings = TrainerConfig(precision=precision, cuda_graphs=cuda_graphs)
        trainer = Trainer(tmp_path, settings, OptimizerConfig(), World(device=torch.device("cuda")))
        step = trainer.begin(model, Fixed([4]), teacher_forcing(0.1))
        for group in groups:
            step.take(group)
        return list(model.parameters())

    torch.testing.assert_close(trained(True), trained(False), rtol=0, atol=tolerance)
