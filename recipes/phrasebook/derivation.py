"""One derivation: random choices of words and values, and the record of what was combined with what.

`keys` are the values used, `combinations` the pairs of a word with a word, or of a frame with a value's format.
Training never sees a combination that is held out for `test_unseen`: such a derivation is abandoned.
"""

from __future__ import annotations

import hashlib
import random as random_module
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

from . import values
from .german import DEFINITE
from .lexicon import ADJECTIVES, CITIES, NOUNS, NUMERALS, Adjective, Noun, Verb
from .phrases import NOTHING, PRONOUN_SUBJECTS, Both, ListPhrase, NounPhrase, PronounObject, Subject, subject_of

T = TypeVar("T")


@cache
def held_out(combination: str) -> bool:
    """Whether this combination occurs in `test_unseen` only: one combination in twelve."""
    return hashlib.sha256(combination.encode("utf-8")).digest()[1] % 12 == 0


@cache
def nouns_of(kinds: str) -> tuple[Noun, ...]:
    wanted = set(kinds.split())
    return tuple(noun for noun in NOUNS if noun.kinds & wanted)


@cache
def adjectives_of(noun: Noun, predicative: bool = False) -> tuple[Adjective, ...]:
    return tuple(a for a in ADJECTIVES if a.kinds & noun.kinds and (a.predicative or not predicative))


class Abandoned(Exception):
    """This derivation combines what its split may not combine."""


def counted_in_tens(noun: Noun) -> bool:
    """Whether one counts tens of the thing rather than thousands."""
    return not noun.kinds & {"part", "goods", "furniture", "ticket"}


def pair(value: values.Value) -> Both:
    return Both(value.render("en"), value.render("de"))


class Derivation:
    """The random choices of one sentence of one split."""

    def __init__(self, random: random_module.Random, split: str) -> None:
        self.random = random
        self.split = split
        self.keys: list[str] = []
        self.combinations: list[str] = []
        self._used: set[str] = set()

    def combine(self, combination: str) -> None:
        """Record a combination; raises `Abandoned` if it is held out and this is not `test_unseen`."""
        if self.split != "test_unseen" and held_out(combination):
            raise Abandoned
        self.combinations.append(combination)

    def fits(self) -> bool:
        """Whether there is a held-out combination if the split is `test_unseen`."""
        return self.split != "test_unseen" or any(map(held_out, self.combinations))

    def choose(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def value(self, owner: str, kind: str, formats: str, units: tuple[str, ...] = values.UNITS) -> values.Value:
        """A value of this split in one of the formats (words of a string); the frame `owner` is combined with it."""
        format = self.choose(formats.split())
        drawn = values.draw(kind, format, self.split, self.random, units)
        self.keys.extend(drawn.keys)
        if " " in formats:  # a frame with one format only would be held out as a whole
            self.combine(f"value:{owner}|{kind}.{format}")
        return drawn

    def both(self, owner: str, kind: str, formats: str, units: tuple[str, ...] = values.UNITS) -> Both:
        return pair(self.value(owner, kind, formats, units))

    def noun(self, owner: str, kinds: str) -> Noun:
        """A noun of one of the kinds, not used in this sentence yet; the word or frame `owner` is combined with it."""
        noun = self.choose([noun for noun in nouns_of(kinds) if noun.german not in self._used])
        self._used.add(noun.german)
        self.combine(f"noun:{owner}|{noun.german}")
        return noun

    def city(self) -> Both:
        english, german = self.choose([city for city in CITIES if city[0] not in self._used])
        self._used.add(english)
        return Both(english, german)

    def adjective(self, noun: Noun, predicative: bool = False) -> Adjective:
        adjective = self.choose(adjectives_of(noun, predicative))
        self.combine(f"adjective:{adjective.stem}|{noun.german}")
        return adjective

    def phrase(
        self, owner: str, kinds: str, determiners: str = "the", number: str = "s", adjective: float = 0.35
    ) -> NounPhrase:
        """A noun phrase: determiners are words of a string ("#" a numeral, "##" a value); number s, p or sp."""
        noun = self.noun(owner, kinds)
        determiner = self.choose(determiners.split())
        modifier = None
        if adjectives_of(noun) and self.chance(adjective):
            modifier = self.adjective(noun)
            if modifier.stem in ("nächst", "letzt"):
                determiner, number = "the", "s"
        count = None
        if determiner == "#":
            count = Both(*self.choose(NUMERALS))
        elif determiner == "##":
            count = self.both(owner, "number", "small" if counted_in_tens(noun) else "integer")
        plural = count is not None or (determiner != "a" and self.choose(number) == "p")
        determiner = "" if count else "a" if determiner == "a" else determiner
        return NounPhrase(noun, determiner, plural, modifier, count)

    def location(self, owner: str, kinds: str = "hall spot", adjective: float = 0.2) -> Both:
        """in or at a place: in the new warehouse, at the station."""
        place = self.phrase(owner, kinds, adjective=adjective)
        english, german = ("at", "an") if "spot" in place.noun.kinds else ("in", "in")
        return Both(f"{english} {place.english}", f"{german} {place.german('dat')}")

    def attributed(self, owner: str, phrase: NounPhrase) -> NounPhrase:
        """The phrase with an attribute, if one fits its noun: with a balcony, from Rome to Vienna, of the guest."""
        kinds = phrase.noun.kinds
        attribute = NOTHING
        if "room" in kinds:
            extra = self.phrase(owner, "extra", "a")
            attribute = Both(f"with {extra.english}", f"mit {extra.german('dat')}")
        elif "ticket" in kinds:
            start, goal = self.city(), self.city()
            attribute = Both(f"from {start.english} to {goal.english}", f"von {start.german} nach {goal.german}")
            if self.chance(0.5):
                attribute = Both(f"to {goal.english}", f"nach {goal.german}")
        elif kinds & {"reservation", "document"} and phrase.determiner in ("the", "this"):
            person = self.phrase(owner, "person")
            attribute = Both(f"of {person.english}", person.german("gen"))
        elif kinds & {"furniture", "goods", "machine"} and phrase.determiner in ("the", "this"):
            place = self.phrase(owner, "hall")
            attribute = Both(f"from {place.english}", f"aus {place.german('dat')}")
        return replace(phrase, attribute=attribute)

    def subject(self, verb: Verb) -> Subject:
        """A subject the verb allows: mostly a pronoun if it allows persons."""
        if verb.subjects == ("person",) and self.chance(0.65):
            return self.choose(PRONOUN_SUBJECTS)
        kinds = " ".join(verb.subjects)
        determiners = "the my our" if kinds == "person" else "the this"
        return subject_of(self.phrase(verb.infinitive, kinds, determiners, "ssp", 0.3))

    def accusative(self, verb: Verb, subject: Subject, nested: bool = True) -> NounPhrase | ListPhrase:
        """A direct object: one phrase, or now and then a list of them."""
        kinds, owner = " ".join(verb.objects), verb.infinitive
        if len(nouns_of(kinds)) > 12 and self.chance(0.08):
            length = self.choose((2, 3, 3, 4))
            return ListPhrase(tuple(self.phrase(owner, kinds, "a # ##", "s", 0.25) for _ in range(length)))
        determiners = f"the the the a a this {subject.possessive} # ##"
        phrase = self.phrase(owner, kinds, determiners, "ssp")
        return self.attributed(owner, phrase) if nested and self.chance(0.25) else phrase

    def person_object(self, verb: Verb, subject: Subject) -> NounPhrase | PronounObject:
        pronouns = [word for word in ("me", "us", "you", "them") if not _same_person(word, subject.english)]
        if self.chance(0.5):
            return PronounObject(self.choose(pronouns))
        return self.phrase(verb.infinitive, "person", "the the our this", "ssp", 0.3)

    def time(self, owner: str, past: bool, limit: bool = False) -> Both:
        """When: a date, a time of day, a weekday, an adverb of the past or future; a limit (by a date) if allowed."""
        kind = self.choose(("date", "date", "time", "datetime", "span", "limit", "weekday", "adverb"))
        if kind == "date":
            return self.on_date(owner)
        if kind == "time":
            english, german = self.choose((("at", "um"), ("before", "vor"), ("after", "nach")))
            time = self.both(owner, "time", "short")
            return Both(f"{english} {time.english}", f"{german} {time.german} Uhr")
        if kind == "datetime":
            date, time = self.both(owner, "date", "long day"), self.both(owner, "time", "short")
            return Both(f"on {date.english} at {time.english}", f"am {date.german} um {time.german} Uhr")
        if kind == "span":
            first, last = self.times(owner)
            return Both(f"between {first.english} and {last.english}", f"zwischen {first.german} und {last.german} Uhr")
        if kind == "weekday":
            day = self.random.randrange(7)
            return Both(f"on {values.weekday(day, 'en')}", f"am {values.weekday(day, 'de')}")
        if kind == "limit" and limit and not past:
            date = self.both(owner, "date", "long day medium")
            return Both(f"by {date.english}", f"bis zum {date.german}")
        return Both(*self.choose(_PAST_ADVERBS if past else _FUTURE_ADVERBS))

    def on_date(self, owner: str) -> Both:
        """On a date; German sets a date after its weekday between commas: am Montag, dem 5. März 2029, ..."""
        date = self.value(owner, "date", "medium long full day")
        if date.format != "full":
            return Both(f"on {date.render('en')}", f"am {date.render('de')}")
        day = values.weekday(date.data.weekday(), "de")
        return Both(f"on {date.render('en')}", f"am {day}, dem {replace(date, format='long').render('de')} ,")

    def times(self, owner: str) -> tuple[Both, Both]:
        """Two times of day, the earlier first."""
        first, last = self.value(owner, "time", "short"), self.value(owner, "time", "short")
        return (pair(first), pair(last)) if first.data < last.data else (pair(last), pair(first))

    def dates(self, owner: str) -> tuple[Both, Both]:
        """Two dates of one format, the second at most a year after the first."""
        first = self.value(owner, "date", "medium long day")
        last = self.value(owner, "date", first.format)
        year = first.data.year + (last.data.timetuple()[1:3] <= first.data.timetuple()[1:3])
        if last.data.timetuple()[1:3] == (2, 29):
            year += -year % 4
        return pair(first), pair(replace(last, data=last.data.replace(year=year)))

    def relative(self, phrase: NounPhrase, clause_end: str, clause_english: str) -> NounPhrase:
        """The phrase with a relative clause about its referent as the object, between commas in German."""
        pronoun = DEFINITE["acc", phrase.slot]
        attribute = Both(f"that {clause_english}", f", {pronoun} {clause_end} ,")
        return replace(phrase, attribute=attribute)


def _same_person(word: str, subject: str) -> bool:
    return (word, subject) in {("me", "I"), ("us", "we"), ("us", "I"), ("me", "we"), ("you", "you"), ("them", "they")}


_PAST_ADVERBS = (
    ("yesterday", "gestern"), ("last week", "letzte Woche"), ("this morning", "heute Morgen"),
    ("two days ago", "vor zwei Tagen"), ("last month", "letzten Monat"), ("three hours ago", "vor drei Stunden"),
)  # fmt: skip
_FUTURE_ADVERBS = (
    ("tomorrow", "morgen"), ("next week", "nächste Woche"), ("this evening", "heute Abend"),
    ("in two hours", "in zwei Stunden"), ("next month", "nächsten Monat"), ("in five days", "in fünf Tagen"),
)  # fmt: skip
