"""Processes forked from a server that has imported what training imports: programs start at once, as users' programs do
after some seconds of importing."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "seq2seq.cli.script",
        "seq2seq.tasks.transcription",
        "seq2seq.training.sharding",
        "torch._dynamo",
        "torch.utils.tensorboard",
        "tests.conftest",
    ]
)


def _run(script: str, arguments: list[str], output: str, errors: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def run_script(script: Path, arguments: Sequence[object], folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `python script arguments` ends with; its streams pass through files in `folder`."""
    words = [str(argument) for argument in arguments]
    output, errors = folder / "stdout", folder / "stderr"
    process = SERVER.Process(target=_run, args=(str(script), words, str(output), str(errors), {}))
    process.start()
    process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, output.read_text(), errors.read_text())


def run_ranks(count: int, script: Path, arguments: Sequence[object], folder: Path) -> str:
    """What `torchrun --nproc-per-node count script arguments` would print: processes that train together, without the
    launcher, and without GPUs, of which each would take its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words = [str(argument) for argument in arguments]
    processes = []
    for rank in range(count):
        environment = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "CUDA_VISIBLE_DEVICES": ""}
        streams = [str(folder / f"{name}-{rank}") for name in ("stdout", "stderr")]
        processes.append(SERVER.Process(target=_run, args=(str(script), words, *streams, environment)))
        processes[-1].start()
    try:
        for rank, process in enumerate(processes):
            process.join(240)
            assert process.exitcode == 0, (folder / f"stderr-{rank}").read_text()[-3000:]
    finally:
        for process in processes:  # one that waits for others for ever would keep the tests from ending
            process.kill()
    return "".join((folder / f"stdout-{rank}").read_text() for rank in range(count))
