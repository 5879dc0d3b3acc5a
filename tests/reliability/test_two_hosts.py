"""The twin of fault 14 on two hosts: training over a slow link, one of them killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq.config import write_config
from tests.comparison import assert_same, final_state
from tests.conftest import toy_config
from tests.forking import run_ranks
from tests.reliability.conftest import Trials
from tests.reliability.test_interruptions import wait_for
from tests.two_hosts import Host, lacking, two_hosts

DELAYS = (0.001, 0.02)
TRAIN = "import sys\nfrom seq2seq.cli.main import main\nsys.exit(main(['train', '--config', sys.argv[1]]))\n"


def launch(hosts: tuple[Host, Host], rank: int, config: Path, restarts: int) -> "subprocess.Popen[bytes]":
    """The launcher of one host. Who it is and where it listens is said, as the hosts share a name.

    torch 2.13 lets no new launcher join those that go on, unless they share no store with the processes: the key
    MASTER_ADDR is written in the first round only."""
    host = hosts[rank]
    words = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "twins"]
    words += ["--rdzv-endpoint", f"{hosts[0].address}:29500", "--rdzv-conf", f"is_host={rank == 0}".lower()]
    words += ["--local-addr", host.address, "--max-restarts", str(restarts)]
    command = ["env", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"] if restarts else []
    command += [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *words,
        "-m",
        "seq2seq",
        "train",
        "--config",
        str(config),
    ]
    return host.start(command, config.with_name(f"{config.stem}-{rank}.stderr"))


@pytest.mark.fault(23, "two hosts, 100 Mbit/s, 1 and 20 ms: one killed", 0, 8)
def test_the_other_host_ends_or_waits_and_a_restart_is_exact(trials: Trials, toy_data: Path, tmp_path: Path) -> None:
    """In turn without restarts, where the other ends, and with one, where it waits until the killed one comes back."""
    if not trials.wanted:
        pytest.skip("minutes: --full")
    if reason := lacking():
        pytest.skip(reason)

    def configured(name: str) -> Path:
        path = tmp_path / f"{name}.json"
        write_config(path, toy_config(toy_data, tmp_path / name, epochs=4, validate_every_steps=5))
        return path

    (tmp_path / "train.py").write_text(TRAIN)
    run_ranks(2, tmp_path / "train.py", [configured("whole")], tmp_path)
    for chance in trials:
        restarts, delay = trials.done % 2, DELAYS[trials.done // 2 % 2]
        config = configured(f"run{trials.done}")
        killed = 1 if restarts else chance.randrange(2)  # the first host holds what a waiting one asks
        with two_hosts(delay) as hosts:
            assert hosts[0].round_trip(hosts[1]) >= 2 * delay
            launchers = [launch(hosts, rank, config, restarts) for rank in (0, 1)]
            wait_for(tmp_path / config.stem / "checkpoints", 240)
            time.sleep(chance.uniform(0, 0.5))
            hosts[killed].kill()
            assert launchers[killed].wait(60) != 0
            if restarts:
                time.sleep(5)
                assert launchers[0].poll() is None
                launchers[1] = launch(hosts, 1, config, restarts)
            else:
                assert launchers[1 - killed].wait(120) != 0
                launchers = [launch(hosts, rank, config, restarts) for rank in (0, 1)]
            for rank, launcher in enumerate(launchers):
                errors = config.with_name(f"{config.stem}-{rank}.stderr")
                assert launcher.wait(400) == 0, errors.read_text()[-2000:]
            assert min(host.bytes_sent() for host in hosts) > 500_000
        assert_same(final_state(tmp_path / config.stem), final_state(tmp_path / "whole"))
