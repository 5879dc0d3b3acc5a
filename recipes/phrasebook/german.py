"""German morphology: articles, adjective endings, noun cases, verb forms, contractions. Pure functions of the lexicon.

Cases are "nom", "acc", "dat", "gen"; a gender slot is "m", "f", "n" or "p" (plural of any gender);
persons are "1" (ich), "3" (er, sie, es) and "p" (wir, sie, Sie).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .lexicon import Adjective, Noun, Verb

_SLOTS = ("m", "f", "n", "p")


def _table(nominative: str, accusative: str, dative: str, genitive: str) -> dict[tuple[str, str], str]:
    rows = {"nom": nominative, "acc": accusative, "dat": dative, "gen": genitive}
    return {
        (case, slot): ending.strip("-")
        for case, row in rows.items()
        for slot, ending in zip(_SLOTS, row.split(), strict=True)
    }


DEFINITE = _table("der die das die", "den die das die", "dem der dem den", "des der des der")
DIESER = _table("er e es e", "en e es e", "em er em en", "es er es er")
EIN = _table("- e - e", "en e - e", "em er em en", "es er es er")
WEAK = _table("e e e en", "en e e en", "en en en en", "en en en en")
MIXED = _table("er e es en", "en e es en", "en en en en", "en en en en")
STRONG = _table("er e es e", "en e es e", "em er em en", "en er en er")
PERSONAL = _table("er sie es sie", "ihn sie es sie", "ihm ihr ihm ihnen", "seiner ihrer seiner ihrer")

_AUXILIARIES = {  # infinitive -> present (1, 3, p)
    "h": ("habe", "hat", "haben"),
    "s": ("bin", "ist", "sind"),
    "werden": ("werde", "wird", "werden"),
    "können": ("kann", "kann", "können"),
    "müssen": ("muss", "muss", "müssen"),
    "sollen": ("sollte", "sollte", "sollten"),
    "mögen": ("möchte", "möchte", "möchten"),
    "wurde": ("wurde", "wurde", "wurden"),
    "war": ("war", "war", "waren"),
}
MODALS = {"can": "können", "must": "müssen", "should": "sollen", "want": "mögen", "will": "werden"}


class Cluster(NamedTuple):
    """A verb's parts: `finite` stands second, `tail` ends a main clause; `final` ends a subordinate clause."""

    finite: str
    tail: str
    final: str


def determiner(word: str, case: str, slot: str) -> str:
    """The German determiner: der, dieser, or an ein-word (ein, kein, mein, unser, Ihr, ...) in case and gender."""
    if word == "der":
        return DEFINITE[case, slot]
    if word == "dieser":
        return "dies" + DIESER[case, slot]
    return word + EIN[case, slot]


def adjective(word: Adjective, determiner_word: str, case: str, slot: str) -> str:
    """The adjective after a determiner: weak after der and dieser, mixed after ein-words, strong after nothing."""
    if determiner_word in ("der", "dieser"):
        ending = WEAK[case, slot]
    else:
        ending = (MIXED if determiner_word else STRONG)[case, slot]
    return word.stem + ending


def noun(word: Noun, case: str, plural: bool) -> str:
    """The noun in case and number; weak nouns end in -(e)n outside the nominative, dative plurals in -n."""
    if plural:
        add_n = case == "dat" and not word.german_plural.endswith(("n", "s"))
        return word.german_plural + ("n" if add_n else "")
    if word.weak:
        return word.german + ("" if case == "nom" else word.genitive)
    return word.german + (word.genitive if case == "gen" and word.gender != "f" else "")


def auxiliary(name: str, person: str) -> str:
    return _AUXILIARIES[name]["13p".index(person)]


def present(verb: Verb, person: str) -> str:
    """The present tense without the separable prefix: ich gebe, er gibt, wir geben."""
    if person == "3":
        return verb.third
    if person == "p":
        return verb.german
    return verb.german.removesuffix("n").removesuffix("e") + "e"


def zu_infinitive(verb: Verb) -> str:
    return f"{verb.prefix}zu{verb.german}" if verb.prefix else f"zu {verb.german}"


def cluster(verb: Verb, tense: str, person: str) -> Cluster:
    """The verb complex of a tense: present, past and perfect (both Perfekt), passive, or a key of `MODALS`."""
    if tense == "present":
        form = present(verb, person)
        return Cluster(form, verb.prefix, verb.prefix + form)
    if tense in MODALS:
        finite, tail = auxiliary(MODALS[tense], person), verb.infinitive
    elif tense == "passive":
        finite, tail = auxiliary("wurde", person), verb.participle
    elif tense == "passive perfect":
        finite, tail = auxiliary("s", person), verb.participle + " worden"
    else:
        finite, tail = auxiliary(verb.auxiliary, person), verb.participle
    return Cluster(finite, tail, f"{tail} {finite}")


_CONTRACTIONS = {
    "in dem": "im", "an dem": "am", "zu dem": "zum", "von dem": "vom", "bei dem": "beim",
    "zu der": "zur", "in das": "ins", "an das": "ans",
}  # fmt: skip
_BEFORE_PUNCTUATION = re.compile(r"[ ,]+([,.?!])")
_CONTRACTION = re.compile(r"\b(in|an|zu|von|bei) (dem|der|das)\b", re.IGNORECASE)


def _contract(match: re.Match[str]) -> str:
    short = _CONTRACTIONS.get(match.group(0).lower())
    if short is None:
        return match.group(0)
    return short.capitalize() if match.group(0)[0].isupper() else short


def close_up(text: str) -> str:
    """Single spaces, none before punctuation, and of punctuation marks that meet the last: " , ." becomes "."."""
    return _BEFORE_PUNCTUATION.sub(r"\1", " ".join(word for word in text.split(" ") if word))


def finish(text: str) -> str:
    """A sentence of joined parts made ready to print: contractions, one comma where two meet, capital first letter."""
    text = _CONTRACTION.sub(_contract, close_up(text))
    return text[0].upper() + text[1:]
