"""Two hosts on this machine: network namespaces, joined by a link of a given rate and delay.

The link is a TUN device in each namespace, whose packets a small program carries over after a while; `tc` bounds the
rate. Run as a program, this file is that carrier.
"""

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TUN = Path("/dev/net/tun")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 1 << 16
CONNECT = """
import socket, sys, time
began = time.perf_counter()
socket.socket().connect_ex((sys.argv[1], 9))
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Host:
    """A namespace, whose network device has the same name."""

    name: str
    address: str

    def start(self, command: Sequence[str], errors: Path) -> "subprocess.Popen[bytes]":
        """Runs a command there; its stderr goes to a file."""
        own = {"GLOO_SOCKET_IFNAME": self.name, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        with errors.open("wb") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                env={**os.environ, **own},
                stdout=subprocess.DEVNULL,
                stderr=file,
            )

    def kill(self) -> None:
        """Kills all that runs there."""
        for pid in called("ip", "netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def round_trip(self, other: "Host") -> float:
        """Seconds until the other host refuses a connection."""
        return float(called("ip", "netns", "exec", self.name, sys.executable, "-c", CONNECT, other.address))

    def bytes_sent(self) -> int:
        """Over the link, since it was made."""
        path = f"/sys/class/net/{self.name}/statistics/tx_bytes"
        return int(called("ip", "netns", "exec", self.name, "cat", path))


def called(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lacking() -> str:
    """What this machine lacks for two hosts; empty where it has all."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    missing = [name for name in ("ip", "tc") if shutil.which(name) is None] + ([] if TUN.exists() else [str(TUN)])
    if missing:
        return f"two hosts need {', '.join(missing)}"
    try:
        with two_hosts(0.001):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"two hosts cannot be made here: {getattr(error, 'stderr', '') or error}"


@contextmanager
def two_hosts(delay: float, rate: str = "100mbit") -> Iterator[tuple[Host, Host]]:
    """delay: seconds that a packet takes; rate: in each direction, as tc writes it."""
    hosts = tuple(Host(f"s2s{os.getpid()}{side}", f"10.77.0.{side}") for side in (1, 2))
    with ExitStack() as stack:
        ends = [_join(host, rate, stack) for host in hosts]
        command = [sys.executable, __file__, *map(str, ends), str(delay)]
        carrier = subprocess.Popen(command, pass_fds=ends)
        stack.callback(carrier.wait)
        stack.callback(carrier.kill)
        for host in hosts:
            stack.callback(host.kill)
        yield hosts[0], hosts[1]


def _join(host: Host, rate: str, stack: ExitStack) -> int:
    """Makes a host; returns the descriptor of its end of the link."""
    called("ip", "netns", "add", host.name)
    stack.callback(called, "ip", "netns", "del", host.name)
    end = os.open(TUN, os.O_RDWR)
    stack.callback(os.close, end)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", host.name.encode(), IFF_TUN | IFF_NO_PI))
    called("ip", "link", "set", host.name, "netns", host.name)  # the descriptor stays its other end
    there = ("ip", "-n", host.name)
    called(*there, "address", "add", f"{host.address}/24", "dev", host.name)
    for device in ("lo", host.name):
        called(*there, "link", "set", device, "up")
    limit = ("rate", rate, "burst", "64kb", "latency", "400ms")
    called("tc", "-n", host.name, "qdisc", "add", "dev", host.name, "root", "tbf", *limit)
    return end


def carry(first: int, second: int, delay: float) -> None:
    """Writes to each descriptor what is read from the other one, so many seconds later."""
    other = {first: second, second: first}
    under_way: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(list(other), [], [], wait)[0]:
            under_way.append((time.monotonic() + delay, other[end], os.read(end, PACKET)))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            with suppress(OSError):  # a device that is not up yet
                os.write(end, packet)


if __name__ == "__main__":
    carry(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
