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
import seeds
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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["prepare", "--profile", "trace.json"], "--profile has no effect on prepare; leave it out"),
        (["decode", "--profile", "."], "--profile .: cannot be written (Is a directory)"),
        (["train", "--profile", "nowhere/a.json"], "nowhere/a.json: cannot be written (No such file or directory)"),
    ],
)
def test_a_trace_that_cannot_be_written_is_refused_before_data_is_read(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main([*words, "--data", "nowhere"]) == 2
    assert told in capsys.readouterr().err


def test_runs_that_do_not_translate_are_not_measured(toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(__file__).parents[1] / "fixtures" / "generator-0.1.0-format2"
    for work in ("decode", "latency"):
        assert benchmark.main([work, "--data", str(toy_data), "--run", str(run)]) == 2
        assert f"{run}: holds a generator, not a translator" in capsys.readouterr().err


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


RECIPE = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--output"), parser.add_argument("--x")
parser.add_argument("--trainer.seed", dest="seed", type=int)
given = parser.parse_args()
folder = pathlib.Path(given.output)
folder.mkdir(parents=True, exist_ok=True)
with (folder / "starts").open("a") as file:
    file.write("x")
if given.x == "stop" and given.seed == 2 and len((folder / "starts").read_text()) == 1:
    sys.exit(130)
print(f"BLEU-4 {10 * given.seed:.1f}, {1000 + given.seed:,} words {{cased}}")
print(f"word {'ab'[given.seed % 2]}")
print("100 sentences")
print("no figure")
if given.seed > 1:
    print(f"METEOR {given.seed}")
"""


def test_seeds_give_mean_and_deviation_of_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: 10, 20, 30 have the mean 20 and the standard deviation 10; 1,001 to 1,003 have 1,002 and 1."""
    (tmp_path / "made.py").write_text(RECIPE)
    words = [str(tmp_path / "made.py"), "--seeds", "3", "--output", str(tmp_path / "runs")]
    assert seeds.main([*words, "--x", "stop"]) == 2
    assert "seed 2" in capsys.readouterr().err
    assert seeds.main([*words, "--x", "stop"]) == 0
    said = capsys.readouterr()
    assert said.out == "BLEU-4 20.0 ± 10.00, 1,002.0 ± 1.00 words {cased}\n100 sentences\n"
    assert said.err.splitlines()[-2] == "not in all seeds, left out: METEOR {}"
    assert [len((tmp_path / "runs" / f"seed-{n}" / "starts").read_text()) for n in (1, 2, 3)] == [1, 2, 1]
    assert seeds.main([*words, "--x", "stop", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["rows"][0]["means"] == pytest.approx([20, 1002])
    assert figures["rows"][0]["deviations"] == pytest.approx([10, 1])
    assert figures["seeds"] == [1, 2, 3]
    assert seeds.main(words) == 2
    assert "made with other options (--x stop)" in capsys.readouterr().err
    assert seeds.main([str(tmp_path / "none.py")]) == 2
    assert seeds.main([*words[:-1], words[0]]) == 2
    assert f"--output {words[0]}: is a file; name a folder" in capsys.readouterr().err


def test_small_figures_have_deviations_of_as_many_decimals() -> None:
    """0.0766 and 0.0752: of two decimals, 0.00 would say that they are equal."""
    ((row, decimals),) = seeds.rows_of(["error 0.0766", "error 0.0752"])
    assert row.describe(decimals) == "error 0.0759 ± 0.0010"


def test_the_server_is_measured_beside_translate(toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    run = Path(__file__).parents[1] / "fixtures" / "translator-0.1.0-format2"
    given = ["serve", "--run", str(run), "--data", str(toy_data), "--sentences", "60", "--clients", "8", "--json"]
    assert benchmark.main(given) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["requests"], figures["lost"], figures["answered with another text"]) == (60, 0, 0)
    assert benchmark.main([*given, "--sentences", "100000"]) == 2
    assert "different sentences; lower --sentences" in capsys.readouterr().err
