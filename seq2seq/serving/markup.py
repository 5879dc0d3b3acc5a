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
            decided: dict[int, bool] = {}
            self._nodes = [node for node in self._soup.find_all(string=True) if _is_language(node, decided)]
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


def _is_language(node: Any, decided: dict[int, bool]) -> bool:
    """Whether a string of the document is text to translate: no comment, no doctype, no code, not marked as fixed.

    decided: what is known of elements, by identity, so that tags within tags are each looked at once.
    """
    from bs4.element import NavigableString

    if type(node) is not NavigableString or not node.strip():
        return False
    passed, answer = [], True
    for parent in node.parents:
        if id(parent) in decided:
            answer = decided[id(parent)]
            break
        passed.append(id(parent))
        if parent.name in KEPT or parent.get("translate") == "no" or "notranslate" in (parent.get("class") or ()):
            answer = False
            break
        if parent.get("translate") == "yes":
            break
    decided.update(dict.fromkeys(passed, answer))
    return answer
