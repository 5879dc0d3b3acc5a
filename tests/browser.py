"""Headless Chromium, by the W3C WebDriver protocol of chromedriver (Debian: chromium, chromium-driver)."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
DRIVER = shutil.which("chromedriver") or ""


class Browser:
    """A session of one window."""

    def __init__(self, address: str, profile: str, *arguments: str) -> None:
        options = {
            "binary": CHROMIUM,
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                f"--user-data-dir={profile}",
                *arguments,
            ],
        }
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        self.address = address
        self.address = f"{address}/session/{self.ask('POST', '/session', {'capabilities': wanted})['sessionId']}"
        self.ask("POST", "/timeouts", {"script": 120_000})

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """The value that a command of the protocol answers."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Loads a page."""
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of an asynchronous function's body, with `args` as its arguments."""
        body = (
            "const done = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);"
            f"(async () => {{ {script} }})().then(v => done([v]), e => done([null, String(e.stack || e)]));"
        )
        value, *error = self.ask("POST", "/execute/async", {"script": body, "args": list(arguments)})
        assert not error, error
        return value

    def console(self) -> list[str]:
        """What the page has written to the console."""
        return [each["message"] for each in self.ask("POST", "/se/log", {"type": "browser"})]

    def emulate(self, **metrics: Any) -> None:
        """A screen of another size; dark=True for a dark colour scheme."""
        dark = metrics.pop("dark", False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        for command, given in (
            ("Emulation.setEmulatedMedia", {"features": features}),
            ("Emulation.setDeviceMetricsOverride", {"deviceScaleFactor": 1, "mobile": False, **metrics}),
        ):
            self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": given})

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        params = {"captureBeyondViewport": True}
        found = self.ask("POST", "/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": params})
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """Ends the browser."""
        self.ask("DELETE", "")


@contextlib.contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    """A browser that ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert driver.stdout is not None
            line = next(line for line in driver.stdout if "started successfully on port" in line)
            opened = Browser(f"http://127.0.0.1:{line.rsplit(' ', 1)[1].strip().rstrip('.')}", profile, *arguments)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            driver.terminate()
            driver.wait()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and no lines on the terminal; remembers what was asked for."""

    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *given: Any) -> None:
        self.asked.append(self.path)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of a folder, as `python -m http.server` is one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def wait(opened: Browser, condition: str, seconds: float = 60) -> None:
    """Waits until a JavaScript expression is true."""
    end = time.monotonic() + seconds
    while not opened.run(f"return Boolean({condition})"):
        assert time.monotonic() < end, (condition, opened.console())
        time.sleep(0.05)
