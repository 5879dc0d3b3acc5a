"""Files of a package of the npm registry, at a pinned version and checksum, kept in the user's cache folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import os
import subprocess
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import write_atomically

REGISTRY = "https://registry.npmjs.org"
LARGEST = 200_000_000
"""Bytes that a package may have."""


class Package(NamedTuple):
    """A package as the registry publishes it."""

    name: str
    version: str
    integrity: str
    """`sha512-` and the base64 of the archive's digest, as in package-lock.json."""

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"


def package_files(package: Package, wanted: Sequence[str], place: Path | None = None) -> dict[str, bytes]:
    """Contents of files of a package, by the path inside it.

    place: an archive, or a folder with the package's content, that is used instead of the registry's. Raises
    UserError where there is none, or the archive is not the one that was pinned.
    """
    if place is None:
        return _unpacked(_archive(package), wanted, package.archive)
    if place.is_dir():
        return _from_folder(place, wanted)
    try:
        return _unpacked(place.read_bytes(), wanted, str(place))
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}; name a folder or an archive of {package.name}") from None


def _archive(package: Package) -> bytes:
    """The pinned archive, from the cache or from the registry."""
    kept = cache_folder() / package.archive
    with contextlib.suppress(OSError):
        content = kept.read_bytes()
        if _integrity(content) == package.integrity:
            return content
    url = f"{registry()}/{package.name}/-/{package.archive}"
    content = _download(url, package)
    check(
        _integrity(content) == package.integrity,
        f"{url}: is not the {package.name} {package.version} that was checked (its checksum is another); nothing of "
        "it is used",
    )
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a download, no more
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, content)
    return content


def _download(url: str, package: Package) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(
            f"{package.name} {package.version} is not in the cache, and {url} cannot be had "
            f"({getattr(error, 'reason', None) or error}); connect to the network once, or get it with `npm pack "
            f"{package.name}@{package.version}` and give the file by --web-runtime"
        ) from None
    check(len(content) <= LARGEST, f"{url}: is larger than {LARGEST} bytes; nothing of it is used")
    return content


def registry() -> str:
    """The registry that npm is set to use: NPM_CONFIG_REGISTRY, npm's own setting, or the public one."""
    names = ("NPM_CONFIG_REGISTRY", "npm_config_registry")
    found = next((os.environ[name] for name in names if os.environ.get(name)), "") or _npm_setting()
    check(
        not found or found.startswith(("https://", "http://")),
        f"NPM_CONFIG_REGISTRY: not an address that begins with https://: {found!r}",
    )
    return (found or REGISTRY).rstrip("/")


def _npm_setting() -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["npm", "config", "get", "registry"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
        return answer if answer.startswith(("https://", "http://")) else ""
    return ""


def cache_folder() -> Path:
    """Where archives are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "seq2seq" / "npm"


def _integrity(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def _unpacked(content: bytes, wanted: Sequence[str], name: str) -> dict[str, bytes]:
    """Files of an archive, which is read in memory: no name in it becomes a path."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                inside = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
                if inside in wanted and member.isfile() and (file := archive.extractfile(member)):
                    found[inside] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{name}: not a package's archive, or a damaged one ({error})") from None
    return _complete(found, wanted, name)


def _from_folder(place: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """Files of a package's folder, or of the folder in it that holds them."""
    found = {}
    for inside in wanted:
        for path in (place / inside, place / PurePosixPath(inside).name):
            if inside not in found and path.is_file():
                found[inside] = path.read_bytes()
    return _complete(found, wanted, str(place))


def _complete(found: Mapping[str, bytes], wanted: Sequence[str], name: str) -> dict[str, bytes]:
    missing = [each for each in wanted if each not in found]
    check(not missing, f"{name}: has no {', '.join(missing)}")
    return dict(found)
