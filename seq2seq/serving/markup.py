"""HTML whose text is translated and whose tags stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seq2seq.serving.errors import bad

KEPT = ("script", "style", "code", "textarea", "template", "svg", "math", "noscript", "kbd", "samp")
"""Elements whose text is no language."""


class Markup:
    """A piece of HTML: its texts, and the same HTML with other texts. Raises RequestError where it cannot be read."""

    def __init__(self, html: str) -> None:
        from bs4 import BeautifulSoup
        from bs4.exceptions import ParserRejectedMarkup

        try:
            self._soup: Any = BeautifulSoup(html, "html.parser")
            self._nodes = [node for node in self._soup.find_all(string=True) if _is_language(node)]
        except (ParserRejectedMarkup, RecursionError, ValueError, AssertionError):
            raise bad("Invalid request: q cannot be read as html") from None
        self.texts = [str(node) for node in self._nodes]

    def with_texts(self, texts: Sequence[str]) -> str:
        """The HTML with these texts, one for each of `texts`: characters that would be markup are escaped."""
        replaced = []
        for node, text in zip(self._nodes, texts, strict=True):
            new = type(node)(text)
            node.replace_with(new)
            replaced.append(new)
        self._nodes = replaced
        html: str = self._soup.decode(formatter="minimal")
        return html


def _is_language(node: Any) -> bool:
    """Whether a string of the document is text to translate: no comment, no doctype, no code, not marked as fixed."""
    from bs4.element import NavigableString

    if type(node) is not NavigableString or not node.strip():
        return False
    for parent in node.parents:
        if parent.name in KEPT or parent.get("translate") == "no" or "notranslate" in (parent.get("class") or ()):
            return False
        if parent.get("translate") == "yes":
            return True
    return True
