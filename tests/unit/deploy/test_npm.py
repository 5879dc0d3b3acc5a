"""Packages of the npm registry: fetched once, checked, and never half used."""

import base64
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.deploy import npm, web_folder
from seq2seq.deploy.npm import Package, package_files
from seq2seq.errors import UserError

FIXTURES = Path(__file__).parents[2] / "fixtures"


def archive(files: dict[str, bytes]) -> bytes:
    """A package's archive, as `npm pack` writes it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, each in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(each)
            tar.addfile(entry, io.BytesIO(each))
    return content.getvalue()


CONTENT = archive({"dist/a.mjs": b"export {}", "dist/b.wasm": b"\0asm", "../../escape": b"no"})
PACKAGE = Package("@scope/thing", "1.2.3", "sha512-" + base64.b64encode(hashlib.sha512(CONTENT).digest()).decode())
WANTED = ("dist/a.mjs", "dist/b.wasm")
FILES = {"dist/a.mjs": b"export {}", "dist/b.wasm": b"\0asm"}


class Registry(http.server.BaseHTTPRequestHandler):
    """Gives CONTENT for every path, and keeps the paths."""

    asked: list[str] = []  # noqa: RUF012
    content = CONTENT

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Registry]]:
    """A registry of this machine, and an empty cache."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_address[1]}/npm/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Registry, "asked", [])
    yield Registry
    server.shutdown()
    server.server_close()


def test_an_archive_is_fetched_once(registry: type[Registry], tmp_path: Path) -> None:
    assert package_files(PACKAGE, WANTED) == package_files(PACKAGE, WANTED) == FILES
    assert registry.asked == ["/npm/@scope/thing/-/thing-1.2.3.tgz"]
    kept = tmp_path / "cache" / "seq2seq" / "npm" / "thing-1.2.3.tgz"
    kept.write_bytes(b"damaged")  # fetched again
    assert package_files(PACKAGE, WANTED) == FILES
    assert (len(registry.asked), kept.read_bytes()) == (2, CONTENT)


def test_another_archive_is_refused(registry: type[Registry], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "content", CONTENT + b" ")
    with pytest.raises(UserError, match=r"is not the @scope/thing 1\.2\.3 that was checked"):
        package_files(PACKAGE, WANTED)
    assert not list(tmp_path.rglob("*.tgz"))


def test_without_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"not in the cache.*npm pack @scope/thing@1\.2\.3.*--web-runtime"):
        package_files(PACKAGE, WANTED)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///etc")
    with pytest.raises(UserError, match="not an address that begins with https://"):
        package_files(PACKAGE, WANTED)


def test_a_local_package_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(npm, "_archive", lambda _: pytest.fail("the registry was asked"))
    (tmp_path / "thing.tgz").write_bytes(CONTENT)
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "package" / name).write_bytes(content)
    for place in (tmp_path / "thing.tgz", tmp_path / "package", tmp_path / "package" / "dist"):
        assert package_files(PACKAGE, WANTED, place) == FILES
    assert not (tmp_path.parent / "escape").exists()
    (tmp_path / "broken.tgz").write_bytes(b"no archive")
    for name, complaint in (
        ("broken.tgz", "not a package's archive"),
        ("none", "No such file"),
        (".", r"has no dist/a\.mjs, dist/b\.wasm"),
    ):
        with pytest.raises(UserError, match=complaint):
            package_files(PACKAGE, WANTED, tmp_path / name)


@pytest.mark.parametrize(
    ("fixture", "complaint"),
    [
        ("predictor-0.1.0", "this run is a predictor; export it without --web"),
        ("characters-0.1.0", "this run is a language_model; export it without --web"),
        ("generator-0.1.0", "this run is a generator that reads arrays; export it without --web"),
        ("translator-0.1.0", "is not in the cache"),
    ],
)
def test_nothing_is_written_where_there_can_be_no_page(
    fixture: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["export", str(FIXTURES / fixture), str(tmp_path / "out"), "--web"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert list(tmp_path.iterdir()) == []


def test_the_page_names_no_other_place() -> None:
    """No file of the page has an address of the network."""
    for path in web_folder.PAGE.iterdir():
        addresses = [
            word
            for word in path.read_text(encoding="utf-8").split()
            if "//" in word and "http" in word and "127.0.0.1" not in word and "w3.org/2000/svg" not in word
        ]
        assert addresses == [], path
