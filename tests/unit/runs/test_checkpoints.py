"""Checkpoints come back bit for bit, or not at all."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from seq2seq.config import FORMAT, read_config, write_run_config
from seq2seq.errors import UserError
from seq2seq.runs.checkpoints import CheckpointStore, find_fault, load_optimizer_tensors, optimizer_tensors
from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.weights import (
    load_model_tensors,
    load_tensors,
    load_weights,
    model_tensors,
    save_model,
    save_tensors,
    stored_model,
)
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.verify import report


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


def test_a_damaged_one_does_not_count_among_those_kept(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1, 2])
    misnamed = store.list()[-1].rename(store.directory / "step-99999999")
    assert store.load_latest() is not None
    for step in (3, 4):
        store.save(step, {"model": {"w": torch.zeros(1)}}, {})
        assert len([path for path in store.list() if find_fault(path) is None]) == 2
    assert not misnamed.exists()


def test_a_copy_that_someone_made_is_left_alone(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1])
    copy = store.directory / "step-00000001-keep"
    shutil.copytree(store.directory / "step-00000001", copy)
    for step in (2, 3, 4):
        store.save(step, {}, {})
    assert [path.name for path in store.list()] == ["step-00000003", "step-00000004"]
    assert copy.is_dir()


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


def run_with(directory: Path) -> Path:
    """A run directory with a model, bound to its vocabulary and configuration."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "joint.spm.model").write_bytes(b"pieces")
    config = {"model": {"size": 2, "encoder": {"layers": 1}}, "data": "here"}
    (directory / "config.json").write_text(json.dumps(config))
    save_model(nn.Linear(2, 2), directory)
    return directory


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path: Path) -> None:
    save_tensors({"w": torch.arange(8.0)}, tmp_path / "w.safetensors")
    assert load_tensors(tmp_path / "w.safetensors")["w"].tolist() == list(range(8))
    damage(tmp_path / "w.safetensors", "bit flipped")
    with pytest.raises(UserError, match="checksum"):
        load_tensors(tmp_path / "w.safetensors")


def test_files_of_other_programs_are_read_without_a_checksum(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    assert load_tensors(tmp_path / "w.safetensors")["w"].tolist() == [1, 1]


def test_a_model_is_refused_beside_what_it_was_not_trained_with(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    load_weights(nn.Linear(2, 2), run)
    (run / "joint.spm.model").write_bytes(b"others")
    with pytest.raises(UserError, match=r"joint\.spm\.model: not what model\.safetensors was trained with"):
        load_weights(nn.Linear(2, 2), run)
    run_with(run)
    (run / "config.json").write_text(json.dumps({"model": {"size": 2, "encoder": {"layers": 3}}}))
    with pytest.raises(UserError, match=r"config\.json"):
        load_weights(nn.Linear(2, 2), run)


def test_settings_that_a_later_release_adds_do_no_harm(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    later = {"model": {"size": 2, "encoder": {"layers": 1, "new": True}, "more": 1}, "data": "elsewhere"}
    (run / "config.json").write_text(json.dumps(later))
    load_weights(nn.Linear(2, 2), run)


def test_a_checkpoint_under_another_ones_name_is_passed_over(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1, 2])
    store.list()[0].rename(store.directory / "step-00000009")
    loaded = store.load_latest()
    assert loaded is not None
    assert loaded[1]["progress"] == 2


def test_a_report_on_a_run(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    assert [verdict.fault for verdict in report(run)] == [None, None, None, None]
    damage(CheckpointStore(run / "checkpoints").list()[0] / "model.safetensors", "truncated")
    (run / "joint.spm.model").write_bytes(b"others")
    model, first, second, together = report(run)
    assert "joint.spm.model" in str(model)
    assert "model.safetensors is not what the manifest says" in str(first)
    assert str(second).endswith("whole")
    assert "joint.spm.model: not a SentencePiece model" in str(together)
    with pytest.raises(UserError, match="neither a model nor checkpoints"):
        report(tmp_path)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    model = nn.Linear(2, 2)
    for name in ("one", "two"):
        save_model(model, run)
        (run / MODEL_FILE).rename(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_newer_format_is_refused_by_name_never_taken_for_damage(tmp_path: Path) -> None:
    store = store_with(tmp_path, [1])
    newest = store.save(2, {"model": {"w": torch.zeros(3)}}, {"format": FORMAT + 2})
    message = (
        rf"{newest}: written by a newer version of seq2seq \(format {FORMAT + 2}; this one reads up to {FORMAT}\): "
    )
    with pytest.raises(UserError, match=f"{message}upgrade seq2seq"):
        store.load_latest()
    config = tmp_path / "config.json"
    for content in ({"format": FORMAT + 2, "model": {}}, {"format": FORMAT + 2, "novelty": 1}):
        config.write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"config\.json: written by a newer version of seq2seq"):
            stored_model(tmp_path)
        with pytest.raises(UserError, match=r"config\.json: written by a newer version of seq2seq"):
            read_config(config, ExperimentConfig)


def test_a_model_stays_bound_to_its_configuration_whatever_the_format_says(tmp_path: Path) -> None:
    """Runs of before have no format in their config.json."""
    (tmp_path / "config.json").write_text('{"model": {"size": 3}}')
    model = nn.Linear(2, 2)
    save_model(model, tmp_path)
    before = (tmp_path / MODEL_FILE).read_bytes()
    write_run_config(tmp_path / "config.json", {"model": {"size": 3}}, "generator", "my:model")
    facts = {"format": FORMAT, "kind": "generator", "build": "my:model"}
    assert json.loads((tmp_path / "config.json").read_text()) == {**facts, "model": {"size": 3}}
    load_weights(nn.Linear(2, 2), tmp_path)
    save_model(model, tmp_path)
    assert (tmp_path / MODEL_FILE).read_bytes() == before
