"""Real server processes: many clients at once, signals, processes, clients that misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from tests.serving.conftest import STORED, TRANSLATOR, ServerProcess, Start

httpx = pytest.importorskip("httpx")

WORDS = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]
PAIR = {"source": "en", "target": "de"}


def lines(count: int, seed: int, most: int = 6) -> list[str]:
    """Different sentences of the toy language."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(chance.choices(WORDS, k=chance.randint(1, most)))] = None
    return list(found)


def figure(server: ServerProcess, name: str) -> float:
    """A counter's value, of all its labels."""
    text = httpx.get(server.url + "/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def test_clients_at_once_get_their_own_answers(server: ServerProcess) -> None:
    """Texts, arrays, forms and n best, mixed, over connections that are kept: each equal to the translator's own."""
    translator = seq2seq.load(TRANSLATOR)
    sentences = lines(240, 1)
    expected = dict(zip(sentences, translator.translate(sentences), strict=True))
    before = figure(server, "seq2seq_batch_rows_count")

    def client(number: int) -> int:
        chance = random.Random(number)
        mine = sentences[number::12]
        with httpx.Client(base_url=server.url, timeout=60) as session:
            for text in mine:
                if chance.random() < 0.3:
                    several = [text, *chance.sample(sentences, 3)]
                    answer = session.post("/translate", json={**PAIR, "q": several}).json()
                    assert answer["translatedText"] == [expected[each] for each in several]
                elif chance.random() < 0.3:
                    answer = session.post("/translate", data={**PAIR, "q": text}).json()
                    assert answer["translatedText"] == expected[text]
                else:
                    answer = session.post("/v1/translate", json={**PAIR, "q": text, "n_best": 2}).json()
                    assert answer["translation"]["text"] == expected[text]
        return len(mine)

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(client, range(12))) == 240
    assert figure(server, "seq2seq_batch_rows_count") - before < 240  # they went together


def test_a_stop_answers_what_was_asked(start: Start) -> None:
    server = start(TRANSLATOR)
    texts = lines(400, 2)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(httpx.post(server.url + "/translate", json={**PAIR, "q": texts}, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    while not figure(server, "seq2seq_waiting"):
        time.sleep(0.002)
    assert server.stop(signal.SIGTERM) == 0
    asking.join()
    assert answers[0].status_code == 200
    assert len(answers[0].json()["translatedText"]) == 400
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/health")


def test_runs_are_loaded_again_without_losing_a_request(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(TRANSLATOR, run)
    server = start(run)
    texts, stop, answers = lines(40, 3), threading.Event(), []
    expected = dict(zip(texts, seq2seq.load(run).translate(texts), strict=True))

    def client(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as session:
            while not stop.is_set():
                text = random.Random(len(answers)).choice(texts)
                answer = session.post("/translate", json={**PAIR, "q": text})
                answers.append((answer.status_code, answer.json().get("translatedText") == expected[text]))

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        try:
            for times in (1, 2):
                server.send(signal.SIGHUP)
                wait_for(lambda: server.said().count("is loaded again") == times)  # noqa: B023
            (run / "model.safetensors").write_bytes(b"broken")
            server.send(signal.SIGHUP)
            wait_for(lambda: "stays as it was" in server.said())
            wait_for(lambda: len(answers) > 20)
        finally:
            stop.set()
        for done in clients:
            done.result()
    assert set(answers) == {(200, True)}


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_past_the_queue_requests_come_again_later(start: Start) -> None:
    server = start(TRANSLATOR, "--queue", "50")
    texts = lines(60, 4)

    def ask(_number: int) -> Any:
        return httpx.post(server.url + "/translate", json={**PAIR, "q": texts}, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(24)))
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert "busy" in refused.json()["error"]
    assert ask(0).status_code == 200


def test_work_of_clients_that_leave_is_dropped_and_time_is_bounded(start: Start) -> None:
    server = start(TRANSLATOR, "--seconds", "0.3", "--items", "2000", "--characters", "200000")
    body = json.dumps({**PAIR, "q": lines(2000, 5)}).encode()

    def seen_waiting() -> bool:
        """Sends, and leaves as soon as the work is seen; its time may be over before a busy machine looks again."""
        with connection(server) as leaving:
            leaving.sendall(head(len(body)) + body)
            return any(figure(server, "seq2seq_waiting") > 0 for _ in range(20))

    wait_for(seen_waiting)
    wait_for(lambda: figure(server, "seq2seq_dropped_total") > 0)
    late = httpx.post(server.url + "/translate", content=body, headers={"content-type": "application/json"})
    assert late.status_code == 503
    assert "0.3 seconds" in late.json()["error"]
    with connection(server) as slow:
        slow.sendall(head(100) + b"{")  # and no more
        assert b" 408 " in slow.recv(200)
    assert httpx.post(server.url + "/translate", json={**PAIR, "q": "so"}).json() == {"translatedText": "SO"}


@contextlib.contextmanager
def connection(server: ServerProcess) -> Any:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as made:
        yield made


def head(length: int, path: str = "/translate", kind: str = "application/json") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def test_processes_share_the_work_and_are_replaced(tmp_path: Path) -> None:
    """By the command itself, as a user starts it."""
    words = ["serve", str(TRANSLATOR), "--workers", "2", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(seq2seq.__file__).parents[1])}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen([sys.executable, "-m", "seq2seq", *words], stderr=errors, env=environment)
    said = (tmp_path / "errors").read_text
    try:
        wait_for(lambda: " at http://" in said(), 120)
        url = said().split(" at ")[1].strip()
        texts = lines(60, 6)
        expected = seq2seq.load(TRANSLATOR).translate(texts)
        with ThreadPoolExecutor(6) as pool:
            answers = pool.map(lambda q: httpx.post(url + "/translate", json={**PAIR, "q": q}, timeout=60), texts)
            assert [answer.json()["translatedText"] for answer in answers] == expected
        counted = httpx.get(url + "/metrics").text
        assert 'seq2seq_requests_total{path="/translate",status="200"} 60.0' in counted
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if children.exists():
            wait_for(lambda: _kill_a_worker(children.read_text().split()))
            wait_for(lambda: "another one begins" in said())
            assert httpx.post(url + "/translate", json={**PAIR, "q": "so"}, timeout=60).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in said()
    finally:
        process.kill()
        process.wait()


def _kill_a_worker(children: list[str]) -> bool:
    """Kills one of the processes that serve (multiprocessing has others)."""
    for child in children:
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
            return True
    return False


BAD_COMMANDS = {
    ("no-such-run",): "no-such-run",
    (TRANSLATOR, "--host", "no.such.host.invalid"): "cannot listen there",
    (TRANSLATOR, "--workers", "0"): "--workers must be",
    (TRANSLATOR, TRANSLATOR): "another run is served as en-de, too; write en:de=",
    (f"only={TRANSLATOR}",): "only is no pair of languages; write them before it: en:de=",
    (STORED["generator"], STORED["generator"]): "too; write NAME=",
    (f"auto:de={TRANSLATOR}",): "cannot be called auto",
    (TRANSLATOR, "--alias", "en"): "must be CODE=NAME",
    (TRANSLATOR, "--api-keys", os.devnull): "holds no key",
    (STORED["generator"], "--precision", "int8"): "--precision int8 is for translators",
    (): "RUN",
}


@pytest.mark.parametrize("words", BAD_COMMANDS)
def test_a_command_that_cannot_be_carried_out_says_so_in_one_line(
    words: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from seq2seq.cli.main import main

    assert main(["serve", *map(str, words), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert BAD_COMMANDS[words] in said


def test_a_taken_port_is_named(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    from seq2seq.cli.main import main

    port = server.url.rpartition(":")[2]
    assert main(["serve", str(TRANSLATOR), "--port", port]) == 2
    assert f"--port {port}: cannot listen there" in capsys.readouterr().err


def test_without_the_extra_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seq2seq.cli import serve
    from seq2seq.cli.main import main

    monkeypatch.setattr(serve, "NEEDED", ("starlette", "no_such_package"))
    assert main(["serve", str(TRANSLATOR)]) == 2
    assert capsys.readouterr().err.endswith("serve needs no_such_package: pip install 'seq2seq[serve]'\n")


def test_other_verbs_import_nothing_of_the_server() -> None:
    names = ("starlette", "uvicorn", "prometheus_client", "bs4", "sentencex", "py3langid")
    code = f"import sys, seq2seq.cli.main; seq2seq.cli.main._parser(); sys.exit(bool({names} & sys.modules.keys()))"
    code = code.replace(f"{names} &", f"set({names}) &")
    environment = {**os.environ, "PYTHONPATH": str(Path(seq2seq.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
