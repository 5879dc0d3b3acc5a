"""The page at / and its files, read once: no request names a path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but the server's own files runs or is asked."""
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_files(folder: Path = FOLDER) -> Mapping[str, tuple[bytes, str]]:
    """Content and type of each file of the page by its name."""
    return {
        path.name: (path.read_bytes(), f"{TYPES[path.suffix]}; charset=utf-8")
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES
    }
