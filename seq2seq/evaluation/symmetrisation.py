"""Hard alignments of both directions joined into one (Koehn et al. 2003)."""

from __future__ import annotations

from typing import Literal

from seq2seq.evaluation.alignments import Links

Symmetrisation = Literal["intersection", "union", "grow-diag-final-and"]
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrised(forward: Links, reverse: Links, way: Symmetrisation) -> Links:
    """Links of source and target words, from those of each direction. intersection: links of both; union: of either;
    grow-diag-final-and: the intersection, then links of either beside one that is there, of which a word is free, then
    links of either whose words are both free."""
    if way == "intersection":
        return forward & reverse
    if way == "union":
        return forward | reverse
    links = _grown(forward & reverse, forward | reverse)
    for direction in (forward, reverse):
        for link in sorted(direction):
            if _is_free(links, link[0], 0) and _is_free(links, link[1], 1):
                links.add(link)
    return links


def _grown(links: Links, allowed: Links) -> Links:
    """The links, with neighbours of them, of these, and of these, and so on."""
    links = set(links)
    while True:
        before = len(links)
        for source, target in sorted(links):
            for down, right in NEIGHBOURS:
                link = (source + down, target + right)
                free = _is_free(links, link[0], 0) or _is_free(links, link[1], 1)
                if link in allowed and free:
                    links.add(link)
        if len(links) == before:
            return links


def _is_free(links: Links, word: int, side: int) -> bool:
    return all(link[side] != word for link in links)
