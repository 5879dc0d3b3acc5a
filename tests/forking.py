"""Processes forked from a server that has imported what training imports: programs start at once, as users' programs do
after some seconds of importing."""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["seq2seq.cli.script", "seq2seq.tasks.transcription", "torch._dynamo", "torch.utils.tensorboard", "tests.conftest"]
)


def _run(script: str, arguments: list[str], output: str, errors: str) -> None:
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def run_script(script: Path, arguments: Sequence[object], folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `python script arguments` ends with; its streams pass through files in `folder`."""
    words = [str(argument) for argument in arguments]
    output, errors = folder / "stdout", folder / "stderr"
    process = SERVER.Process(target=_run, args=(str(script), words, str(output), str(errors)))
    process.start()
    process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, output.read_text(), errors.read_text())
