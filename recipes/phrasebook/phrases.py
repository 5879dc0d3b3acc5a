"""Noun phrases and clauses that exist in both languages at once: English strings and German strings in every case.

A German realisation that has several licensed forms is a list of strings, the preferred one first (`variants`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from . import german
from .lexicon import Adjective, Noun, Verb
from .values import join_list

MAX_REFERENCES = 4

DETERMINERS = {  # English -> German base; "" takes strong endings
    "the": "der",
    "this": "dieser",
    "a": "ein",
    "no": "kein",
    "my": "mein",
    "our": "unser",
    "your": "Ihr",
    "his": "sein",
    "her": "ihr",
    "their": "ihr",
    "": "",
}
_DEFINITE = frozenset({"the", "this", "my", "our", "your", "his", "her", "their"})
_PRONOUN_OBJECTS = {"me": ("mich", "mir"), "us": ("uns", "uns"), "you": ("Sie", "Ihnen"), "them": ("sie", "ihnen")}


class Both(NamedTuple):
    """The same thing in both languages."""

    english: str
    german: str


def variants(*parts: str | Sequence[str]) -> list[str]:
    """Join parts, each a string or its licensed forms: the preferred form, then one departure from it at a time."""
    choices = [[part] if isinstance(part, str) else list(part) for part in parts]
    preferred = [choice[0] for choice in choices]
    joined = [" ".join(preferred)]
    for i, choice in enumerate(choices):
        for other in choice[1:]:
            text = " ".join([*preferred[:i], other, *preferred[i + 1 :]])
            if text not in joined:
                joined.append(text)
    return joined


NOTHING = Both("", "")


@dataclass(frozen=True)
class NounPhrase:
    """Determiner or numeral, adjective, noun and attribute (already in both languages, its case not the head's)."""

    noun: Noun
    determiner: str = "the"
    plural: bool = False
    adjective: Adjective | None = None
    count: Both | None = None
    attribute: Both = NOTHING

    @property
    def definite(self) -> bool:
        return self.count is None and self.determiner in _DEFINITE

    @property
    def slot(self) -> str:
        return "p" if self.plural else self.noun.gender

    @property
    def english(self) -> str:
        head = self.noun.english_plural if self.plural else self.noun.english
        if self.plural and self.determiner == "this" and self.count is None:
            lead = "these"
        else:
            lead = self.count.english if self.count else self.determiner
        words = [lead, self.adjective.english if self.adjective else "", head, self.attribute.english]
        return " ".join(word for word in words if word)

    def german(self, case: str) -> str:
        base = "" if self.count else DETERMINERS[self.determiner]
        lead = self.count.german if self.count else (german.determiner(base, case, self.slot) if base else "")
        modifier = german.adjective(self.adjective, base, case, self.slot) if self.adjective else ""
        words = [lead, modifier, german.noun(self.noun, case, self.plural), self.attribute.german]
        return " ".join(word for word in words if word)

    @property
    def person(self) -> str:
        return "p" if self.plural else "3"

    def pronoun(self, case: str) -> str:
        """The personal pronoun that refers back to this phrase: er, sie, es by gender."""
        return german.PERSONAL[case, self.slot]


@dataclass(frozen=True)
class ListPhrase:
    """Coordinated noun phrases, each in the list's case, joined as CLDR joins lists."""

    members: tuple[NounPhrase, ...]
    definite: bool = False
    person: str = "p"

    @property
    def english(self) -> str:
        return join_list(tuple(member.english for member in self.members), "en")

    def german(self, case: str) -> str:
        return join_list(tuple(member.german(case) for member in self.members), "de")


@dataclass(frozen=True)
class PronounObject:
    """me, us, you, them as an object."""

    english: str
    definite: bool = True

    def german(self, case: str) -> str:
        return _PRONOUN_OBJECTS[self.english][case == "dat"]


@dataclass(frozen=True)
class Subject:
    """A clause's subject in the nominative; `third`: he, she or it; `possessive`: the word for its own."""

    english: str
    german: str
    person: str
    third: bool
    possessive: str


PRONOUN_SUBJECTS = (
    Subject("I", "ich", "1", False, "my"),
    Subject("we", "wir", "p", False, "our"),
    Subject("you", "Sie", "p", False, "your"),
    Subject("they", "sie", "p", False, "their"),
    Subject("he", "er", "3", True, "his"),
    Subject("she", "sie", "3", True, "her"),
)
YOU = PRONOUN_SUBJECTS[2]


def subject_of(phrase: NounPhrase) -> Subject:
    third = not phrase.plural
    owner = {"m": "his", "f": "her", "n": "its", "p": "their"}[phrase.slot]
    return Subject(phrase.english, phrase.german("nom"), phrase.person, third, owner)


@dataclass(frozen=True)
class Clause:
    """A subject, a verb in a tense, and what the verb takes; adverbials are already in both languages.

    tense: present, past, perfect, passive (the subject is the logical object), or a key of `german.MODALS`.
    adverb: "", "already" (perfect only) or "not" (negation, "not yet" in the perfect).
    """

    subject: Subject
    verb: Verb
    tense: str
    accusative: NounPhrase | ListPhrase | PronounObject | None = None
    dative: NounPhrase | PronounObject | None = None
    oblique: Both = NOTHING
    time: Both = NOTHING
    place: Both = NOTHING
    adverb: str = ""

    # -- German ----------------------------------------------------------------------------------------------------

    def _clusters(self) -> list[german.Cluster]:
        person = self.subject.person
        clusters = [german.cluster(self.verb, self.tense, person)]
        if self.tense == "passive":
            clusters.append(german.cluster(self.verb, "passive perfect", person))
        if self.tense == "will" and self.time.german:
            clusters.append(german.cluster(self.verb, "present", person))
        if self.verb.synonym:
            clusters.append(german.cluster(self.verb.synonym, self.tense, person))
        return clusters

    def _middle(self, time: str) -> list[str]:
        """The field between the verb parts: known objects before the time, new ones after it, negation behind both."""
        adverbs = {"": [""], "already": ["bereits", "schon"], "not": ["nicht"]}[self.adverb]
        if self.adverb == "not" and self.tense == "perfect":
            adverbs = ["noch nicht"]
        dative = self.dative.german("dat") if self.dative else ""
        accusative = self.accusative.german("acc") if self.accusative else ""
        if self.accusative and not self.accusative.definite:
            return variants(dative, time, adverbs, accusative, self.oblique.german, self.place.german)
        if not (time and accusative):
            return variants(dative, accusative, time, adverbs, self.oblique.german, self.place.german)
        orders = [f"{accusative} {time}", f"{time} {accusative}"]
        if self.adverb or isinstance(self.accusative, PronounObject):
            orders = orders[:1]
        elif dative:
            orders.reverse()
        return variants(dative, orders, adverbs, self.oblique.german, self.place.german)

    def main(self, time_first: bool = False) -> list[str]:
        """Verb second; with a time adverbial, both the subject and the time may stand first."""
        clusters = self._clusters()
        finite, tail = clusters[0].finite, clusters[0].tail
        subject_first = variants(self.subject.german, finite, self._middle(self.time.german), tail)
        others = [
            f"{self.subject.german} {c.finite} {self._middle(self.time.german)[0]} {c.tail}" for c in clusters[1:]
        ]
        if not self.time.german:
            return subject_first + others
        fronted = variants(self.time.german, finite, self.subject.german, self._middle(""), tail)
        if time_first:
            return fronted[:1] + subject_first[:1] + others
        return subject_first[:1] + fronted[:1] + others + subject_first[1:]

    def verb_first(self, subject: str = "") -> list[str]:
        """Questions, and main clauses behind a subordinate one."""
        subject = subject or self.subject.german
        first, *others = self._clusters()
        middle = self._middle(self.time.german)
        return variants(first.finite, subject, middle, first.tail) + [
            f"{c.finite} {subject} {middle[0]} {c.tail}" for c in others
        ]

    def final(self) -> list[str]:
        """Verb-final order, behind dass, weil, wenn, ob and question words."""
        first, *others = self._clusters()
        middle = self._middle(self.time.german)
        return variants(self.subject.german, middle, first.final) + [
            f"{self.subject.german} {middle[0]} {c.final}" for c in others
        ]

    def imperative(self) -> list[str]:
        return replace(self, tense="present", subject=YOU).verb_first()

    def zu_infinitive(self) -> list[str]:
        verbs = [german.zu_infinitive(verb) for verb in (self.verb, self.verb.synonym) if verb]
        return variants(self._middle(self.time.german), verbs)

    # -- English ---------------------------------------------------------------------------------------------------

    def _english_rest(self) -> str:
        dative = self.dative.english if self.dative else ""
        accusative = self.accusative.english if self.accusative else ""
        yet = "yet" if self.adverb == "not" and self.tense == "perfect" else ""
        parts = [dative, accusative, self.oblique.english, self.place.english, self.time.english, yet]
        return " ".join(part for part in parts if part)

    def _english_verb(self) -> tuple[str, str]:
        """The finite auxiliary ("" if the verb itself is finite) and what follows it."""
        base, third, past, participle = self.verb.english
        single = self.subject.third
        negation = "not " if self.adverb == "not" else ""
        if self.tense == "present":
            return ("does" if single else "do", f"not {base}") if negation else ("", third if single else base)
        if self.tense == "past":
            return ("did", f"not {base}") if negation else ("", past)
        if self.tense == "perfect":
            already = "already " if self.adverb == "already" else ""
            return "has" if single else "have", negation + already + participle
        if self.tense == "passive":
            return "was" if single else "were", negation + participle
        modal = {"want": "would", "will": "will", "can": "can", "must": "must", "should": "should"}[self.tense]
        return modal, negation + ("like to " if self.tense == "want" else "") + base

    def english(self, time_first: bool = False) -> str:
        """Subject, verb, objects, place, time; or the time in front."""
        clause = replace(self, time=NOTHING) if time_first else self
        finite, rest = self._english_verb()
        text = f"{self.subject.english} {finite} {rest} {clause._english_rest()}"
        if time_first:
            text = f"{self.time.english}, {text}"
        return re.sub(r"\bcan not\b", "cannot", text)

    def english_question(self) -> str:
        finite, rest = self._english_verb()
        base = self.verb.english[0]
        if not finite:
            finite, rest = ("did" if self.tense == "past" else "does" if self.subject.third else "do"), base
        return f"{finite} {self.subject.english} {rest} {self._english_rest()}"

    def english_infinitive(self) -> str:
        return f"{self.verb.english[0]} {self._english_rest()}"


@dataclass(frozen=True)
class Predication:
    """A clause with to be and a predicate: the room is too small."""

    subject: Subject
    predicate: Both
    past: bool = False

    def english(self) -> str:
        third = self.subject.third
        verb = ("was" if third else "were") if self.past else ("is" if third else "are")
        return f"{self.subject.english} {verb} {self.predicate.english}"

    def main(self) -> list[str]:
        return [f"{self.subject.german} {self._verb()} {self.predicate.german}"]

    def final(self) -> list[str]:
        return [f"{self.subject.german} {self.predicate.german} {self._verb()}"]

    def _verb(self) -> str:
        return german.auxiliary("war" if self.past else "s", self.subject.person)


_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou](?!ne-|sed|nit))")


def finish_english(text: str) -> str:
    """A sentence ready to print: a or an, single spaces, capital first letter."""
    text = german.close_up(text)
    text = _VOWEL.sub(r"\1n ", text)
    return text[0].upper() + text[1:]
