"""Recorded steps against plain ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seq2seq.config import to_dict, write_run_config
from seq2seq.data.batch import Batch, collate
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runtime.device import Precision
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import refuse_changes
from seq2seq.tasks.configs import LanguageModelTask
from seq2seq.training.config import TrainerConfig
from seq2seq.training.cuda_graphs import recordable
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer
from tests.unit.training.test_trainer import Fixed


def test_a_run_goes_on_with_graphs_or_without(tmp_path: Path) -> None:
    asked = LanguageModelTask(trainer=TrainerConfig(cuda_graphs=True))
    write_run_config(tmp_path / CONFIG_FILE, to_dict(asked), asked.kind)
    refuse_changes(tmp_path, LanguageModelTask(trainer=TrainerConfig(cuda_graphs=False)))


def test_what_others_wrote_is_not_recorded() -> None:
    """It may look at numbers on the host, which a recording would repeat as they were."""

    class Theirs(nn.Linear):
        pass

    model = build_model(ModelConfig(), 30, 30)
    assert recordable(model, teacher_forcing(0.1))
    assert not recordable(model, lambda model, batch: teacher_forcing()(model, batch))
    model.encoder.add_module("theirs", Theirs(1, 1))
    assert not recordable(model, teacher_forcing(0.1))


def random_batch(rows: int, generator: torch.Generator) -> Batch:
    lengths = torch.randint(3, 9, (rows,), generator=generator).tolist()
    ids = [torch.randint(4, 30, (length,), generator=generator).tolist() for length in lengths]
    return collate([(source, source[::-1]) for source in [[5] * 9, *ids]])  # the first makes them one shape


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 1e-2), ("fp16", 1e-3)])
@pytest.mark.parametrize("coupling", ["none", "bottom_up", "conditional", "input_feeding"])
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


@pytest.mark.gpu
def test_a_step_that_cannot_be_recorded_trains_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An objective that waits for the device, dropout drawn before and after it does."""
    config = ModelConfig(dropout=0.3)
    generator = torch.Generator().manual_seed(1)
    batches = [random_batch(rows, generator) for rows in (7, 15) * 4]
    plain = teacher_forcing(0.1)

    def waiting(model: Seq2Seq, batch: Batch) -> LossSum:
        loss = plain(model, batch)
        float(loss.total)
        return plain(model, batch)

    monkeypatch.setattr("seq2seq.training.step.recordable", lambda *_: True)

    def trained(cuda_graphs: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = build_model(config, 30, 30)
        settings = TrainerConfig(precision="fp32", cuda_graphs=cuda_graphs)
        trainer = Trainer(tmp_path, settings, OptimizerConfig(), World(device=torch.device("cuda")))
        step = trainer.begin(model, Fixed([4]), waiting)
        for batch in batches:
            step.take([batch])
        return list(model.parameters())

    with caplog.at_level("INFO"):
        recorded = trained(True)
    assert caplog.text.count("steps are not recorded as CUDA graphs") == 1
    torch.testing.assert_close(recorded, trained(False), rtol=0, atol=1e-5)
