"""Hard alignments of words in Pharaoh's format, and their error rate against a gold standard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from seq2seq.data.vocabulary import RightToLeft
from seq2seq.errors import UserError, check

Links = set[tuple[int, int]]
"""Pairs of a source word and a target word, from 0."""
LINK = re.compile(r"([0-9]{1,6})([-?p])([0-9]{1,6})", re.ASCII)
WORD_BEGIN = "\u2581"


def hard_links(
    source: Sequence[str], target: Sequence[str], weights: Sequence[Sequence[float]], features: int = 0
) -> Links:
    """The words that attention links: each target piece with the source piece that it attends to most, as words, which
    white space separates. source, target: pieces, end of sentence last. features: source pieces at the beginning that
    are of no word. What attends to these, or to the end of sentence, is not linked."""
    words = word_of_each(source[features:-1])
    links = set()
    for word, row in zip(word_of_each(target[:-1]), weights, strict=False):
        best = max(range(len(source)), key=row.__getitem__) - features
        if 0 <= best < len(words):
            links.add((words[best], word))
    return links


def spelled_pieces(pieces: Sequence[str], vocabulary: Any, text: str) -> list[str]:
    """The pieces of a text, end of sentence last, with what is unknown as it is in the text, so that a word that the
    vocabulary lacks begins as others do. vocabulary: as the model has it."""
    spellings = vocabulary.spellings([text])[0]
    if isinstance(vocabulary, RightToLeft):  # whose pieces are shown as they are read
        spellings = spellings[::-1]
    return [spelling or piece for piece, spelling in zip(pieces[:-1], spellings, strict=False)] + list(pieces[-1:])


def word_of_each(pieces: Sequence[str]) -> list[int]:
    """The number of the word that each piece belongs to, from 0. A piece of nothing but white space belongs to the word
    behind it."""
    numbers, current = [], -1
    for piece in pieces:
        current += piece.startswith(WORD_BEGIN) or current < 0
        numbers.append(current)
    return numbers


def pharaoh(links: Iterable[tuple[int, int]]) -> str:
    """Links in a line: 0-0 1-2."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def read_gold(lines: Iterable[str], name: str) -> list[tuple[Links, Links]]:
    """Sure and possible links of each line, sure ones among the possible: 0-0 is sure, 0?0 or 0p0 possible. Raises
    UserError naming the line (name: of the file) where it is written in another way."""
    gold = []
    for number, line in enumerate(lines, 1):
        sure: Links = set()
        possible: Links = set()
        for link in line.split():
            found = LINK.fullmatch(link)
            if found is None:
                raise UserError(f"{name}, line {number}: {link[:20]!r} is no link like 0-0 (sure) or 0?0 (possible)")
            pair = (int(found[1]), int(found[3]))
            possible.add(pair)
            if found[2] == "-":
                sure.add(pair)
        gold.append((sure, possible))
    return gold


def check_gold(gold: Sequence[tuple[Links, Links]], sources: Sequence[str], targets: Sequence[str], name: str) -> None:
    """Raises UserError, naming the line (name: of the file), where a link is of words that the sentences have not. What
    stands behind a source's tab, its features, are no words."""
    for number, ((_, possible), source, target) in enumerate(zip(gold, sources, targets, strict=False), 1):
        words = len(source.partition("\t")[0].split()), len(target.split())
        outside = [link for link in sorted(possible) if link[0] >= words[0] or link[1] >= words[1]]
        shown = "{}-{}".format(*outside[0]) if outside else ""
        check(
            not outside,
            f"{name}, line {number}: {shown} is outside of {words[0]} and {words[1]} words, from 0 on",
        )


def alignment_error_rate(found: Sequence[Links], gold: Sequence[tuple[Links, Links]]) -> float:
    """AER in percent: 1 - (|A and S| + |A and P|) / (|A| + |S|), A found, S sure, P possible (Och & Ney 2003). Raises
    UserError where the numbers of lines differ or there are no links."""
    check(
        len(found) == len(gold), f"{len(found)} lines are aligned, but there are {len(gold)} lines of gold alignments"
    )
    both = sum(len(links & sure) + len(links & possible) for links, (sure, possible) in zip(found, gold, strict=True))
    size = sum(len(links) + len(sure) for links, (sure, _) in zip(found, gold, strict=True))
    check(size > 0, "there are no links to compare")
    return 100 * (1 - both / size)
