"""Sentences around clauses: statements, questions, requests, subordinate clauses with dass, ob, weil, wenn and others.

Each frame is a function of a `Derivation` that returns the English sentence and the German references, preferred first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from .derivation import Abandoned, Derivation
from .german import DEFINITE, finish
from .lexicon import VERBS, Verb
from .phrases import (
    MAX_REFERENCES,
    NOTHING,
    YOU,
    Both,
    Clause,
    NounPhrase,
    Predication,
    Subject,
    finish_english,
    subject_of,
    variants,
)
from .templates import TEMPLATES, realise

Sentence = tuple[str, list[str]]
_NOT_GRADED = frozenset(
    {"beschädigt", "defekt", "falsch", "leer", "voll", "neu", "rot", "blau", "schwarz", "grün", "weiß", "braun"}
)
_PAST = ("past", "perfect", "passive")
_LETTERS = {
    "p": ("present",), "s": ("past",), "f": ("perfect",), "w": ("will",), "m": ("can", "must", "should", "want"),
}  # fmt: skip


@cache
def _verbs_with(letters: str, frames: str = "") -> tuple[Verb, ...]:
    wanted = frames.split()
    return tuple(v for v in VERBS if set(letters) & set(v.tenses) and (not wanted or v.frame.split("+")[-1] in wanted))


def clause(
    d: Derivation,
    letters: str = "psfwm",
    subject: Subject | None = None,
    verb: Verb | None = None,
    time: float = 0.65,
    place: bool = True,
    adverbs: bool = True,
) -> Clause:
    """A random clause; letters limit the tenses (see `Verb`), time is the probability of a time adverbial."""
    verb = verb or d.choose(_verbs_with(letters, "acc dat" if subject else ""))
    tenses = [t for letter in letters if letter in verb.tenses for t in _LETTERS[letter]]
    tense = d.choose(tenses)
    subject = subject or d.subject(verb)
    result = _fill(d, Clause(subject, verb, tense))
    if tense != "perfect" and d.chance(time):
        result = replace(result, time=d.time(verb.infinitive, tense in _PAST, limit=verb.frame == "acc"))
    elif isinstance(result.accusative, NounPhrase) and result.accusative.determiner == "the" and d.chance(0.25):
        result = replace(result, accusative=_with_relative_clause(d, verb, result.accusative))
        adverbs = False  # whose verb would they belong to?
    if place and _takes_place(verb) and d.chance(0.3):
        result = replace(result, place=_place(d, verb))
    return replace(result, adverb=_adverb(d, result)) if adverbs else result


def _fill(d: Derivation, bare: Clause) -> Clause:
    verb, subject = bare.verb, bare.subject
    if verb.frame == "dat":
        return replace(bare, dative=d.person_object(verb, subject))
    if verb.frame == "dat+acc":
        recipient = d.person_object(verb, subject)
        determiners = f"the the a this {subject.possessive} #"
        thing = d.phrase(verb.infinitive, " ".join(verb.objects), determiners)
        return replace(bare, dative=recipient, accusative=thing)
    if verb.frame == "acc":
        if verb.english[0] == "call":
            return replace(bare, accusative=d.person_object(verb, subject))
        return replace(bare, accusative=d.accusative(verb, subject))
    if verb.frame:
        preposition, case = verb.frame.split("+")
        phrase = d.phrase(verb.infinitive, " ".join(verb.objects), "the the a this our", "ssp")
        return replace(bare, oblique=Both(phrase.english, f"{preposition} {phrase.german(case)}"))
    return bare


def _takes_place(verb: Verb) -> bool:
    return verb.english[0] in {
        "find", "lose", "forget", "buy", "look for", "pick up", "arrive", "wait for", "talk to", "order", "begin",
    }  # fmt: skip


def _place(d: Derivation, verb: Verb) -> Both:
    if d.chance(0.3):
        city = d.city()
        return Both(f"in {city.english}", f"in {city.german}")
    return d.location(verb.infinitive)


def _adverb(d: Derivation, built: Clause) -> str:
    known = built.accusative is None or built.accusative.definite
    if built.tense == "perfect" and d.chance(0.5):
        return "not" if known and d.chance(0.5) else "already"
    return "not" if built.tense in ("past", "can", "will") and known and d.chance(0.15) else ""


def _with_relative_clause(d: Derivation, outer: Verb, phrase: NounPhrase) -> NounPhrase:
    """the chair that we ordered yesterday: German puts the verb last and sets commas around it."""
    verbs = [v for v in VERBS if v.english[0] in ("order", "buy", "check", "repair", "book", "find")]
    fitting = [v for v in verbs if set(v.objects) & phrase.noun.kinds and v is not outer]
    if not fitting:
        return phrase
    inner = Clause(d.subject(fitting[0]), d.choose(fitting), "past")
    if d.chance(0.5):
        inner = replace(inner, time=d.time(inner.verb.infinitive, past=True))
    return d.relative(phrase, inner.final()[0], inner.english())


def passive(d: Derivation, time: float = 0.7) -> Clause:
    """A clause in the passive, whose subject is the verb's object."""
    verb = d.choose(_verbs_with("v"))
    phrase = d.phrase(verb.infinitive, " ".join(verb.objects), "the the this our #", "ssp")
    when = d.time(verb.infinitive, past=True) if d.chance(time) else NOTHING
    return Clause(subject_of(phrase), verb, "passive", time=when, adverb="not" if d.chance(0.15) else "")


def predication(d: Derivation, phrase: NounPhrase | None = None, pronoun: bool = False) -> Predication:
    """A noun phrase (or the pronoun for it) with a predicative adjective: the room is too small."""
    owner = phrase or d.phrase("sein", "furniture goods item machine part car room document", "the this our", "sp", 0)
    adjective = d.adjective(owner.noun, predicative=True)
    subject = subject_of(replace(owner, attribute=NOTHING))
    if pronoun:
        subject = replace(subject, english="they" if owner.plural else "it", german=owner.pronoun("nom"))
    english, german = d.choose((("", ""), ("too", "zu"), ("very", "sehr"), ("not", "nicht")))
    if adjective.stem in _NOT_GRADED:
        english, german = d.choose((("", ""), ("not", "nicht")))
    predicate = Both(f"{english} {adjective.english}", f"{german} {adjective.predicative}")
    return Predication(subject, predicate, past=d.chance(0.2))


def any_clause(d: Derivation) -> Clause | Predication:
    """What may follow dass, weil or ob."""
    return d.choose(_MAKERS)(d)


_MAKERS: tuple[Callable[[Derivation], Clause | Predication], ...] = (clause, passive, predication)

# -- Frames: main clauses ----------------------------------------------------------------------------------------------


def statement(d: Derivation) -> Sentence:
    c = passive(d) if d.chance(0.2) else clause(d)
    time_first = bool(c.time.english) and d.chance(0.15)
    return c.english(time_first) + " .", [text + " ." for text in c.main(time_first)]


def list_statement(d: Derivation) -> Sentence:
    """We have ordered two chairs, a lamp, and three boxes."""
    verb = d.choose([v for v in VERBS if v.english[0] in ("order", "need", "buy", "deliver", "pack", "sell", "rent")])
    c = clause(d, "psf", verb=verb, adverbs=False)
    return c.english() + " .", [text + " ." for text in c.main()]


def question(d: Derivation) -> Sentence:
    c = passive(d) if d.chance(0.2) else clause(d, "psfm", adverbs=False)
    return c.english_question() + " ?", [text + " ?" for text in c.verb_first()]


def when_question(d: Derivation) -> Sentence:
    c = clause(d, "sw", time=0, place=False, adverbs=False)
    return f"When {c.english_question()} ?", [f"Wann {text} ?" for text in c.verb_first()]


def why_question(d: Derivation) -> Sentence:
    c = clause(d, "sf", adverbs=False)
    return f"Why {c.english_question()} ?", variants(["Warum", "Weshalb"], c.verb_first(), "?")


def polite_request(d: Derivation) -> Sentence:
    c = clause(d, "m", subject=YOU, adverbs=False)
    english = f"Could you please {c.english_infinitive()} ?"
    middles = variants(c._middle(c.time.german), c.verb.infinitive)
    return english, variants(["Könnten Sie bitte", "Würden Sie bitte"], middles, "?")


def imperative(d: Derivation) -> Sentence:
    c = clause(d, "m", subject=YOU, adverbs=False)
    return f"Please {c.english_infinitive()} .", variants("Bitte", c.imperative(), ".")


def coordination(d: Derivation) -> Sentence:
    """One subject, two verbs in the perfect: We have checked the pump and replaced the filter."""
    haben = tuple(v for v in _verbs_with("f", "acc") if v.auxiliary == "h" and "person" in v.subjects)
    first = clause(d, "f", verb=d.choose(haben), place=False, adverbs=False)
    second = clause(d, "f", subject=first.subject, verb=d.choose(haben), place=False, adverbs=False)
    english = f"{first.english()} and {second.verb.english[3]} {second._english_rest()} ."
    german = variants(first.main(), "und", variants(second._middle(""), second.verb.participle), ".")
    return english, german


def who_clause(d: Derivation) -> Sentence:
    """The customer who ordered the lamp has called us: a relative clause about the subject."""
    person = d.phrase("wer", "person", "the", "ssp")
    inner = clause(d, "s", subject=subject_of(person), adverbs=False, place=False)
    pronoun = DEFINITE["nom", person.slot]
    relative = replace(inner, subject=replace(inner.subject, german=f"{pronoun}", english="who"))
    attribute = Both(relative.english(), f", {relative.final()[0]} ,")
    outer = clause(d, "fm", subject=subject_of(replace(person, attribute=attribute)), time=0.2)
    return outer.english() + " .", [text + " ." for text in outer.main()]


# -- Frames: subordinate clauses ---------------------------------------------------------------------------------------

_THAT = (
    ("I am sorry that", ["Es tut mir leid, dass"]),
    ("We hope that", ["Wir hoffen, dass"]),
    ("I think that", ["Ich glaube, dass", "Ich denke, dass"]),
    ("Please note that", ["Bitte beachten Sie, dass"]),
    ("The boss says that", ["Der Chef sagt, dass"]),
    ("We have heard that", ["Wir haben gehört, dass"]),
    ("It is possible that", ["Es ist möglich, dass", "Es kann sein, dass"]),
    ("I am certain that", ["Ich bin sicher, dass"]),
)
_WHETHER = (
    ("Do you know whether", ["Wissen Sie, ob"], "?"),
    ("I do not know whether", ["Ich weiß nicht, ob"], "."),
    ("Could you tell me whether", ["Könnten Sie mir sagen, ob"], "?"),
    ("I would like to know whether", ["Ich möchte wissen, ob", "Ich würde gern wissen, ob"], "."),
    ("We are not sure whether", ["Wir sind nicht sicher, ob"], "."),
)
_INDIRECT = (
    ("Do you know", ["Wissen Sie,"], "?"),
    ("Please tell me", ["Bitte sagen Sie mir,"], "."),
    ("Nobody knows", ["Niemand weiß,"], "."),
    ("I would like to know", ["Ich möchte wissen,", "Ich würde gern wissen,"], "."),
)
_TO = (
    ("I have forgotten", ["Ich habe vergessen,"], "."),
    ("We have promised", ["Wir haben versprochen,"], "."),
    ("We are trying", ["Wir versuchen,"], "."),
    ("Please do not forget", ["Bitte vergessen Sie nicht,"], "."),
    ("It is not possible", ["Es ist nicht möglich,"], "."),
    ("Is it possible", ["Ist es möglich,"], "?"),
    ("I am calling", ["Ich rufe an, um"], "."),
    ("We have come", ["Wir sind gekommen, um"], "."),
)


def that_clause(d: Derivation) -> Sentence:
    english, german = d.choose(_THAT)
    c = any_clause(d)
    return f"{english} {c.english()} .", variants(german, c.final(), ".")


def whether_clause(d: Derivation) -> Sentence:
    english, german, stop = d.choose(_WHETHER)
    c = any_clause(d)
    return f"{english} {c.english()} {stop}", variants(german, c.final(), stop)


def indirect_question(d: Derivation) -> Sentence:
    english, german, stop = d.choose(_INDIRECT)
    word, german_words = d.choose((("when", ["wann"]), ("why", ["warum", "weshalb"]), ("where", ["wo"])))
    if word == "where":
        verb = d.choose([v for v in VERBS if v.english[0] in ("find", "lose", "forget", "buy", "order", "pick up")])
        c = clause(d, "s", verb=verb, place=False, adverbs=False)
    else:
        c = clause(d, "sw", time=0 if word == "when" else 0.5, place=False, adverbs=False)
    return f"{english} {word} {c.english()} {stop}", variants(german, german_words, c.final(), stop)


def because(d: Derivation) -> Sentence:
    main, reason = clause(d, "sfwm"), d.choose(_MAKERS)(d)
    english = f"{main.english()} because {reason.english()} ."
    return english, variants(main.main()[:2], [", weil", ", da"], reason.final(), ".")


def because_it(d: Derivation) -> Sentence:
    """The pronoun in the reason takes the gender of the German noun: ..., weil er defekt ist."""
    verbs = ("return", "repair", "exchange", "buy", "sell", "clean")
    verb = d.choose([v for v in VERBS if v.english[0] in verbs])
    c = clause(d, "fm", verb=verb, place=False, time=0)
    determiner = d.choose(("the", "this", "our"))
    phrase = d.phrase(verb.infinitive, " ".join(verb.objects), determiner, "sp", 0.2)
    c = replace(c, accusative=phrase)
    reason = predication(d, phrase, pronoun=True)
    return f"{c.english()} because {reason.english()} .", variants(c.main(), [", weil", ", da"], reason.final(), ".")


def if_clause(d: Derivation) -> Sentence:
    condition = passive_or_present(d)
    main = clause(d, "wm", time=0.35)
    english, german = condition.english(), condition.final()
    if d.chance(0.5):
        return f"If {english} , {main.english()} .", variants("Wenn", german, ",", main.verb_first(), ".")
    return f"{main.english()} if {english} .", variants(main.main(), ", wenn", german, ".")


def passive_or_present(d: Derivation) -> Clause | Predication:
    """A condition: an event in the present or perfect, a possibility, or a state."""
    if d.chance(0.3):
        return replace(predication(d), past=False)
    return clause(d, "pf", time=0.5)


def although(d: Derivation) -> Sentence:
    concession = d.choose(_MAKERS)(d)
    main = clause(d, "sfm", time=0.35)
    english = f"Although {concession.english()} , {main.english()} ."
    return english, variants("Obwohl", concession.final(), ",", main.verb_first(), ".")


def as_soon_as(d: Derivation) -> Sentence:
    failures = ("lose", "forget", "break down")
    verb = d.choose([v for v in _verbs_with("f") if v.english[0] not in failures])
    condition = clause(d, "f", verb=verb, adverbs=False)
    if d.chance(0.5):
        english, german = "We will call you as soon as", ["Wir rufen Sie an, sobald", "Wir werden Sie anrufen, sobald"]
    else:
        english, german = "Please call me as soon as", ["Bitte rufen Sie mich an, sobald"]
    return f"{english} {condition.english()} .", variants(german, condition.final(), ".")


_BEFORE = (
    ("Please call us", "Bitte rufen Sie uns an"),
    ("Please show me your passport", "Bitte zeigen Sie mir Ihren Reisepass"),
)


def before(d: Derivation) -> Sentence:
    c = clause(d, "m", subject=YOU, adverbs=False, time=0.2)
    c = replace(c, tense="present")
    english, german = d.choose(_BEFORE)
    return f"{english} before {c.english()} .", variants(german, ", bevor", c.final(), ".")


def to_clause(d: Derivation) -> Sentence:
    english, german, stop = d.choose(_TO)
    subject = YOU if "Please" in english or "possible" in english else _speaker(english)
    c = clause(d, "m", subject=subject, adverbs=False)
    return f"{english} to {c.english_infinitive()} {stop}", variants(german, c.zu_infinitive(), stop)


def _speaker(english: str) -> Subject:
    first, second = ("I", "my") if english.startswith("I ") else ("we", "our")
    return Subject(first, "ich" if first == "I" else "wir", "1" if first == "I" else "p", False, second)


FRAMES: dict[str, tuple[Callable[[Derivation], Sentence], int]] = {
    "statement": (statement, 14),
    "list": (list_statement, 3),
    "question": (question, 6),
    "when": (when_question, 3),
    "why": (why_question, 3),
    "request": (polite_request, 4),
    "imperative": (imperative, 4),
    "coordination": (coordination, 3),
    "who": (who_clause, 3),
    "that": (that_clause, 7),
    "whether": (whether_clause, 5),
    "indirect": (indirect_question, 4),
    "because": (because, 5),
    "because it": (because_it, 4),
    "if": (if_clause, 5),
    "although": (although, 3),
    "as soon as": (as_soon_as, 3),
    "before": (before, 2),
    "to": (to_clause, 5),
}
_NAMES = tuple(name for name, (_, weight) in FRAMES.items() for _ in range(weight))


def derive(d: Derivation) -> Sentence | None:
    """One English sentence with its one to four German references, the preferred first; None if unfit for the split."""
    try:
        if d.chance(0.36):
            english, german = realise(d, d.choose(TEMPLATES))
        else:
            english, german = FRAMES[d.choose(_NAMES)][0](d)
    except Abandoned:
        return None
    if not d.fits():
        return None
    references: list[str] = []
    for text in german:
        finished = finish(text)
        if finished not in references:
            references.append(finished)
    return finish_english(english), references[:MAX_REFERENCES]
