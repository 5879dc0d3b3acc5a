"""The benchmark and the averaging of checkpoints, on the toy task."""

import json
import os
import subprocess
import sys
from pathlib import Path

import average_checkpoints
import benchmark
import cost
import pytest
import torch

from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.weights import load_tensors
from seq2seq.runtime.kernels import cpu_multiplies_int8
from tests.conftest import needs_int8

TOOLS = Path(__file__).parents[2] / "tools"


def test_tools_are_run_by_their_names() -> None:
    assert all(os.access(path, os.X_OK) for path in TOOLS.glob("*.py"))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    ended = subprocess.run([TOOLS / "bleu.py", "--help"], env={**os.environ, "PATH": path}, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("work", ["train", "decode", "latency"])
def test_the_benchmark_prints_a_row_per_coupling(work: str, toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--steps", "1", "--warmup", "1", "--repeats", "1", "--sentences", "3", "--budget", "100", "--json"]
    assert benchmark.main([work, "--data", str(toy_data), *quick]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [row["work"].split(", ")[1] for row in figures["rows"]] == ["none", "bottom_up", "input_feeding"]
    assert all(row["median"] > 0 for row in figures["rows"])
    assert figures["peak_tflops"]["fp32"] > 0
    if work != "latency":
        assert all(0 < row["peak_fraction"] < 1 for row in figures["rows"])


def test_preparing_is_measured_on_as_many_pairs_as_told(toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["prepare", "--data", str(toy_data), "--pairs", "1000", "--json"]) == 0
    rows = {row["work"]: row["median"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["tokenise, 1,000 pairs"] > 0 and rows["load a batch"] > 0


def test_a_run_is_profiled(toy_run: Path, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.json"
    quick = ["--repeats", "1", "--sentences", "3", "--run", str(toy_run), "--profile", str(trace)]
    assert benchmark.main(["decode", "--data", str(toy_data), *quick]) == 0
    assert "sentences/s" in capsys.readouterr().out
    assert json.loads(trace.read_text())["traceEvents"]


@needs_int8
def test_int8_decoding_is_compared_with_fp32(toy_run: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "decode",
        "--data",
        str(toy_data),
        "--run",
        str(toy_run),
        "--precision",
        "int8",
        "--repeats",
        "1",
        "--json",
    ]
    assert benchmark.main(given) == 0
    rows = {row["work"].split(", ", 1)[1]: row["median"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert list(rows) == ["run, beam 5, int8", "run: of 24, unlike fp32's", "run: int8", "run: fp32"]
    assert rows["run: fp32"] > 50  # the toy run has learned its task
    assert benchmark.main(["train", "--data", str(toy_data), "--precision", "int8"]) == 2
    assert "--precision" in capsys.readouterr().err


def test_growth_of_cost_is_measured_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost.main([str(tmp_path), "--axes", "batch", "--repeats", "1", "--points", "2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    works = 3 if cpu_multiplies_int8() else 2
    assert [(axis, value) for axis, value, *_ in rows] == [("batch", "8")] * works + [("batch", "16")] * works
    assert cost.main([str(tmp_path), "--repeats", "0"]) == 2
    assert all(float(figure) > 0 for *_, figure in rows)
    assert (tmp_path / "cost_batch.png").stat().st_size > 1000


def test_flops_are_those_of_the_shapes() -> None:
    """One sentence of 3 source and 5 target tokens (ends included), counted by hand for a tiny model."""
    config = ModelConfig(4, 0.0, "two_way", EncoderConfig(3), DecoderConfig(5, 1, coupling="none"))
    model = build_model(config, 11, 11)
    batch = benchmark.Batch(
        torch.tensor([[4, 5, 3]]), torch.tensor([3]), torch.tensor([[2, 4, 5, 6, 7]]), torch.tensor([[4, 5, 6, 7, 3]])
    )
    encoder = 2 * 2 * 12 * (4 + 3)  # two directions, four gates of 3 units, input 4, recurrent 3; 2 operations a weight
    keys = 2 * 5 * 6
    decoder = 2 * 20 * (4 + 5)
    readout, output, attention = 2 * 4 * (5 + 6), 2 * 11 * 4, 2 * 3 * (5 + 6)
    assert benchmark.batch_flops(model, batch) == 3 * (encoder + keys) + 5 * (decoder + readout + output + attention)


def test_the_benchmark_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["train", "--data", "./nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_averages_the_last_checkpoints(toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert average_checkpoints.main([str(toy_run), "--last", "2", "--output", str(tmp_path / "mean")]) == 0
    one, two = (load_tensors(path / "model.safetensors") for path in CheckpointStore(toy_run / "checkpoints").list())
    averaged = load_tensors(tmp_path / "mean" / "model.safetensors")
    for name, tensor in averaged.items():
        torch.testing.assert_close(tensor, (one[name] + two[name]) / 2)
    assert average_checkpoints.main([str(toy_run), "--last", "9", "--output", str(tmp_path / "more")]) == 2
    before = (toy_run / "config.json").read_bytes()
    assert average_checkpoints.main([str(toy_run), "--output", str(toy_run)]) == 2  # it would be a run no more
    assert (toy_run / "config.json").read_bytes() == before
    assert "2 checkpoints, not 9" in capsys.readouterr().err
