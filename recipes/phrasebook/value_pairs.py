"""The value-only task: the same values in two locales, alone or in lists, the source determining the target."""

from __future__ import annotations

import hashlib
import itertools
import random as random_module
from functools import cache

from seq2seq.errors import UserError

from .values import FORMATS, UNITS, Value, draw, list_of, parse_locale

_PROBES = 80
_LIST_SHARE = 0.6


class ValueTask:
    """Draws pairs of renderings for two locales.

    A kind and format is used where, on a probe of values, equal sources always had equal targets, over all formats
    admitted before it: a source that shows less than its target (a day without the year) is left out.
    """

    def __init__(self, source_locale: str, target_locale: str) -> None:
        self.source, self.target = parse_locale(source_locale), parse_locale(target_locale)
        if self.source == self.target:
            raise UserError(f"source and target locale are both {self.source!r}: choose two, for example en and fr")
        self._known: dict[str, str] = {}
        self.units = tuple(unit for unit in UNITS if self._has_unit(unit))
        self.formats = tuple(
            (kind, name) for kind, names in FORMATS.items() for name in names if self._unambiguous(kind, name)
        )

    def draw(
        self, random: random_module.Random, split: str
    ) -> tuple[str, list[str], tuple[str, ...], tuple[str, ...]] | None:
        """Source, its one reference, value keys and combinations; None where they do not suit the split.

        A list has two to four members; its combinations are the kinds and formats of neighbours.
        """
        unseen = split == "test_unseen"
        combinations: tuple[str, ...] = ()
        if not unseen and random.random() >= _LIST_SHARE:
            value = self._value(random, split, random.choice(self.formats))
        else:
            choices = [random.choice(self.formats) for _ in range(random.choice((2, 2, 3, 4)))]
            names = [".".join(choice) for choice in choices]
            combinations = tuple("|".join(sorted(pair)) for pair in itertools.pairwise(names))
            if any(map(held_out_pair, combinations)) != unseen:
                return None
            members = tuple(self._value(random, split, choice) for choice in choices)
            value = list_of(members, random.choice(("standard", "or")))
        source, target = value.render(self.source), value.render(self.target)
        if self._known.setdefault(source, target) != target:
            return None
        return source, [target], value.keys, combinations

    def _value(self, random: random_module.Random, split: str, choice: tuple[str, str]) -> Value:
        return draw(*choice, split, random, self.units)

    def _has_unit(self, unit: str) -> bool:
        """Whether both locales spell the unit in long and short form: babel falls back to the unit's code name."""
        value = draw("quantity", "long", "train", random_module.Random(0), (unit,))
        shown = [
            Value(value.kind, length, value.data, value.keys).render(locale)
            for length in ("long", "short")
            for locale in (self.source, self.target)
        ]
        return not any(unit in text for text in shown)

    def _unambiguous(self, kind: str, name: str) -> bool:
        if kind == "quantity" and not self.units:
            return False
        random = random_module.Random(f"probe {kind} {name}")
        probe: dict[str, str] = {}
        for _ in range(_PROBES):
            value = draw(kind, name, "train", random, self.units or UNITS)
            try:
                source, target = value.render(self.source), value.render(self.target)
            except (KeyError, ValueError, AttributeError):
                return False  # CLDR, or babel, lacks this pattern in one of the locales
            if "duration-" in source + target:
                return False
            if self._known.get(source, target) != target or probe.setdefault(source, target) != target:
                return False
        self._known.update(probe)
        return True


@cache
def held_out_pair(combination: str) -> bool:
    """Whether these two kinds and formats are neighbours in `test_unseen` only: one pair in six."""
    return hashlib.sha256(combination.encode("utf-8")).digest()[2] % 6 == 0
