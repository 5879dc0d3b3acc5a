"""Checkpoints come back bit for bit, or not at all."""

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from seq2seq.checkpoint import (
    CheckpointStore,
    load_model_tensors,
    load_optimizer_tensors,
    load_tensors,
    model_tensors,
    optimizer_tensors,
    save_tensors,
)
from seq2seq.config import UserError


def store_with(directory: Path, steps: list[int]) -> CheckpointStore:
    store = CheckpointStore(directory / "checkpoints")
    for step in steps:
        store.save(step, {"model": {"w": torch.full((3,), float(step))}}, {"progress": step})
    return store


def test_a_model_with_shared_weights_and_its_optimiser_come_back_exactly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    assert len(model_tensors(model)) == 3
    save_tensors(model_tensors(model), tmp_path / "model.safetensors")
    save_tensors(optimizer_tensors(optimizer), tmp_path / "optimizer.safetensors")
    other = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    other[1].weight = other[0].weight
    other_optimizer = torch.optim.Adam(other.parameters(), fused=True)
    load_model_tensors(other, load_tensors(tmp_path / "model.safetensors"), "here")
    load_optimizer_tensors(other_optimizer, load_tensors(tmp_path / "optimizer.safetensors"))
    assert other[1].weight is other[0].weight
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    one, two = optimizer_tensors(optimizer), optimizer_tensors(other_optimizer)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_newest_is_loaded_and_at_least_two_are_kept(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1, 2, 3, 4])
    assert [path.name for path in store.list()] == ["step-00000003", "step-00000004"]
    loaded = store.load_latest()
    assert loaded is not None
    tensors, state = loaded
    assert tensors["model"]["w"].tolist() == [4.0] * 3
    assert state["progress"] == 4


def test_there_may_be_none_yet(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "checkpoints").load_latest() is None


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "bit flipped":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "deleted":
            path.unlink()
        case "pickle":
            path.write_bytes(b"cos\nsystem\n(S'touch /tmp/seq2seq_was_here'\ntR.")


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "deleted", "pickle"])
@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_a_damaged_one_is_passed_over_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, name: str
) -> None:
    store = store_with(tmp_path, [1, 2])
    damage(store.list()[-1] / name, how)
    with caplog.at_level(logging.WARNING, "seq2seq"):
        loaded = store.load_latest()
    assert loaded is not None
    assert loaded[1]["progress"] == 1
    assert "step-00000002 is damaged" in caplog.text
    assert not Path("/tmp/seq2seq_was_here").exists()


def test_no_whole_one_is_an_error(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1, 2])
    for path in store.list():
        damage(path / "model.safetensors", "truncated")
    with pytest.raises(UserError, match="no checkpoint is whole"):
        store.load_latest()


def test_what_a_death_in_the_middle_leaves_is_ignored_and_swept(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1])
    leftover = store.directory / f".step-00000002.{os.getpid()}.tmp"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    loaded = store.load_latest()
    assert loaded is not None
    assert loaded[1]["progress"] == 1
    store.save(3, {"model": {"w": torch.zeros(1)}}, {})
    assert not leftover.exists()


def test_tensors_that_do_not_fit_are_named() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(UserError, match="bias"):
        load_model_tensors(model, {"weight": torch.zeros(2, 2)}, "here")
    with pytest.raises(UserError, match=r"weight has shape \[3, 2\]"):
        load_model_tensors(model, {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "here")


def test_the_manifest_lists_every_file(tmp_path: Path) -> None:
    path = store_with(tmp_path, [1]).list()[0]
    listed = json.loads((path / "manifest.json").read_text())
    assert listed.keys() == {file.name for file in path.iterdir()} - {"manifest.json"}


def test_files_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    save_tensors({"w": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "plain").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
