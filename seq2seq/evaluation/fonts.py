"""Labels that can be read in a picture: fonts which have their characters, or the characters' code points."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec

from seq2seq.errors import check

log = logging.getLogger(__name__)


LONGEST_LABEL = 24
"""Characters of a label; what is longer is cut."""
NO_GLYPHS = ("Last Resort", "Adobe Blank")
"""Beginnings of the names of fonts that draw the same box, or nothing, for every character."""
NORMAL = (400, "normal", "regular", "book")
NOTE = "U+…: a character that no installed font has"


@dataclass(frozen=True)
class Lettering:
    """How to write some texts."""

    families: list[str]
    """Font families, matplotlib's own first; each character is taken from the first one that has it."""
    missing: frozenset[str]
    """Characters that no installed font has."""

    def label(self, text: str) -> str:
        """The text for matplotlib, to which "$" would begin a formula. Missing characters become code points."""
        written = "".join(f"U+{ord(each):04X}" if each in self.missing else each for each in text)
        short = written if len(written) <= LONGEST_LABEL else written[: LONGEST_LABEL - 1] + "…"
        return short.replace("$", r"\$")

    def labels(self, texts: Iterable[str]) -> list[str]:
        """The texts for matplotlib."""
        return [self.label(text) for text in texts]

    @property
    def note(self) -> str:
        """What a reader of the picture has to know."""
        return NOTE if self.missing else ""


def available() -> bool:
    """Whether pictures can be drawn."""
    return find_spec("matplotlib") is not None


def check_available() -> None:
    """Raises UserError where no picture can be drawn."""
    check(available(), "drawing needs matplotlib: pip install 'seq2seq[plot]'")


def lettering(texts: Iterable[str]) -> Lettering:
    """Chooses among the installed fonts; logs, once in a process, where they lack characters."""
    check_available()
    from matplotlib import rcParams

    families = list(rcParams["font.family"])
    wanted = frozenset("".join(texts))
    missing = wanted - _covered(families[0], wanted)
    if missing:
        for family in _chosen(_installed(), missing):
            families.append(family)
            missing -= _covered(family, missing)
    if missing:
        _report_missing()
    return Lettering(families, missing)


def label_width(labels: Sequence[str]) -> int:
    """Columns of the longest label, of which Chinese, Japanese and Korean characters take two."""
    return max((sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in label) for label in labels), default=0)


def _chosen(families: Sequence[str], missing: frozenset[str]) -> Iterable[str]:
    """Families that have missing characters, each time the one with the most of those that are left."""
    while missing:
        covered, family = max(((_covered(each, missing), each) for each in families), key=lambda pair: len(pair[0]))
        if not covered:
            return
        yield family
        missing -= covered


def _installed() -> list[str]:
    """Families with an upright face of normal weight: for others matplotlib would log what it takes instead."""
    from matplotlib.font_manager import fontManager

    upright = {each.name for each in fontManager.ttflist if each.style == "normal" and each.weight in NORMAL}
    return sorted(name for name in upright if not name.startswith(NO_GLYPHS))


@lru_cache(maxsize=4_096)
def _covered(family: str, characters: frozenset[str]) -> frozenset[str]:
    """Those of the characters that a font family has."""
    from matplotlib import font_manager

    try:
        # In a list, since a bare name would be read as fontconfig's pattern, where "-" ends it.
        path = font_manager.findfont(font_manager.FontProperties(family=[family]))
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):  # a file that has gone, or is damaged
        return frozenset()
    return frozenset(each for each in characters if font.get_char_index(ord(each)))


@cache
def _report_missing() -> None:
    log.warning(
        "no installed font has some characters of the pictures' labels: their code points are shown; "
        "a font such as Noto Sans CJK would show them"
    )
