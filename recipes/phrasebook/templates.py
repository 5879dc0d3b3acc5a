"""Fixed sentence templates around values: prices, opening hours, measures, delays, stock.

`{a}` names a slot; in German `{a.dat}` asks for a case and `{a.pro}` for the pronoun that refers to it;
`[a:kostet|kosten]` agrees with the number of `a`. The first German pattern is the preferred one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .lexicon import MASS_NOUNS, NUMERALS
from .phrases import Both, NounPhrase
from .values import weekday

if TYPE_CHECKING:
    from .derivation import Derivation

Slot = NounPhrase | Both
Fill = Callable[["Derivation", str], Slot]


class Template(NamedTuple):
    english: str
    german: tuple[str, ...]
    slots: dict[str, Fill]


def np(
    kinds: str, determiners: str = "the this", number: str = "s", adjective: float = 0.35, nested: float = 0.0
) -> Fill:
    """A noun phrase; `nested` is the probability of an attribute."""

    def fill(d: Derivation, owner: str) -> NounPhrase:
        phrase = d.phrase(owner, kinds, determiners, number, adjective)
        return d.attributed(owner, phrase) if d.chance(nested) else phrase

    return fill


def val(kind: str, formats: str, *units: str) -> Fill:
    return lambda d, owner: d.both(owner, kind, formats, units) if units else d.both(owner, kind, formats)


def one_of(*pairs: tuple[str, str]) -> Fill:
    return lambda d, owner: Both(*d.choose(pairs))


def loc(kinds: str = "hall spot") -> Fill:
    return lambda d, owner: d.location(owner, kinds)


def _weekday(d: Derivation, owner: str) -> Both:
    day = d.random.randrange(7)
    return Both(weekday(day, "en"), weekday(day, "de"))


def range_of(draw: Callable[[Derivation, str], tuple[Both, Both]], until: str) -> Fill:
    """From one date or time to a later one."""

    def fill(d: Derivation, owner: str) -> Both:
        first, last = draw(d, owner)
        return Both(f"{first.english} to {last.english}", f"{first.german}{until}{last.german}")

    return fill


CITY: Fill = lambda d, owner: d.city()  # noqa: E731
WEEKDAY: Fill = _weekday
FEW = one_of(*NUMERALS[:7])
PLATFORM = one_of(*((str(n), str(n)) for n in range(1, 13)))
FLOOR = one_of(("second", "zweiten"), ("third", "dritten"), ("fourth", "vierten"), ("fifth", "fünften"))
MASS = one_of(*MASS_NOUNS)
SMALL_LARGE = one_of(("long", "lang"), ("short", "kurz"), ("wide", "breit"), ("narrow", "schmal"))
COMPARATIVE = one_of(
    ("heavier", "schwerer"), ("more expensive", "teurer"), ("cheaper", "günstiger"), ("newer", "neuer"),
    ("smaller", "kleiner"), ("larger", "größer"), ("older", "älter"), ("more comfortable", "bequemer"),
)  # fmt: skip
TIME = val("time", "short")
DATE = val("date", "medium long day")
ON_DATE: Fill = lambda d, owner: d.on_date(owner)  # noqa: E731
DATES = range_of(lambda d, owner: d.dates(owner), " bis zum ")
TIMES = range_of(lambda d, owner: d.times(owner), " bis ")
MONTH = val("month", "wide")
PRICE = val("price", "symbol name")
SYMBOL_PRICE = val("price", "symbol")
PERCENT = val("percent", "standard")
NUMBER = val("number", "integer")
SMALL_NUMBER = val("number", "small")
DURATION = val("duration", "long")
WEIGHT = val("quantity", "long short", "mass-kilogram", "mass-gram")
LENGTH = val("quantity", "long short", "length-meter", "length-centimeter", "length-millimeter")
DISTANCE = val("quantity", "long short", "length-kilometer", "length-meter")
AMOUNT = val("quantity", "long short", "mass-kilogram", "mass-gram", "volume-liter")
TEMPERATURE = val("quantity", "long short", "temperature-celsius")
AREA = val("quantity", "long", "area-square-meter")
ENERGY = val("quantity", "long short", "energy-kilowatt-hour")
MINUTES = val("quantity", "long", "duration-minute", "duration-hour")

TEMPLATES: tuple[Template, ...] = ()


def _add(english: str, *german: str, **slots: Fill) -> None:
    global TEMPLATES
    TEMPLATES += (Template(english, german, slots),)


# fmt: off
# -- Prices and payments -----------------------------------------------------------------------------------------------
_WARES = "furniture goods machine part item"
_BOOKABLE = "room ticket bookable"
_add("How much [a:does|do] {a} cost?", "Was [a:kostet|kosten] {a.nom}?", "Wie viel [a:kostet|kosten] {a.nom}?",
     a=np(_WARES + " food bookable", number="ssp", nested=0.3))
_add("{a} [a:costs|cost] {p}.", "{a.nom} [a:kostet|kosten] {p}.",
     a=np(_WARES + " food bookable", "the this #", "ssp", nested=0.3), p=PRICE)
_add("{a} [a:costs|cost] {p} including {x} VAT.", "{a.nom} [a:kostet|kosten] {p} inklusive {x} Mehrwertsteuer.",
     "{a.nom} [a:kostet|kosten] {p} einschließlich {x} Mehrwertsteuer.", a=np(_WARES, number="sp"), p=PRICE, x=PERCENT)
_add("The price of {a} has risen by {x}.", "Der Preis {a.gen} ist um {x} gestiegen.",
     "Der Preis für {a.acc} ist um {x} gestiegen.", a=np(_WARES + " bookable"), x=PERCENT)
_add("We offer you a discount of {x} on {a}.", "Wir bieten Ihnen einen Rabatt von {x} auf {a.acc} an.",
     "Wir bieten Ihnen auf {a.acc} einen Rabatt von {x} an.", a=np(_WARES, "the this", "sp"), x=PERCENT)
_add("A night in {a} costs {p}.", "Eine Nacht in {a.dat} kostet {p}.",
     a=np("lodging", "the this a", nested=0.4), p=PRICE)
_add("Room {n} costs {p} per night.", "Zimmer {n} kostet {p} pro Nacht.", n=SMALL_NUMBER, p=PRICE)
_add("The deposit for {a} is {p}.", "Die Anzahlung für {a.acc} beträgt {p}.",
     a=np("room bookable car", "the this", nested=0.4), p=PRICE)
_add("The invoice for {p} is due {t}.", "Die Rechnung über {p} ist {t} fällig.", p=PRICE, t=ON_DATE)
_add("Please pay {p} by {t}.", "Bitte bezahlen Sie bis zum {t} {p}.", "Bitte zahlen Sie bis zum {t} {p}.",
     p=PRICE, t=DATE)
_add("I paid {p} for {a}.", "Ich habe {p} für {a.acc} bezahlt.", "Ich habe für {a.acc} {p} bezahlt.",
     "Für {a.acc} habe ich {p} bezahlt.", a=np(_WARES + " food bookable", "the this #", "sp", nested=0.3), p=PRICE)
_add("{a} is {p} cheaper than {b}.", "{a.nom} ist {p} günstiger als {b.nom}.",
     a=np(_WARES), b=np(_WARES), p=SYMBOL_PRICE)
_add("{a} is {c} than {b}.", "{a.nom} ist {c} als {b.nom}.",
     a=np("furniture", "the this my"), b=np("furniture", "the this your"), c=COMPARATIVE)
_add("Altogether that is {p} for {a}.", "Insgesamt sind das {p} für {a.acc}.",
     "Das sind insgesamt {p} für {a.acc}.", p=PRICE, a=np(_WARES + " food", "the #", "sp"))
_add("With a discount of {x}, {a} only [a:costs|cost] {p}.",
     "Mit einem Rabatt von {x} [a:kostet|kosten] {a.nom} nur {p}.",
     "Mit einem Rabatt von {x} [a:kostet|kosten] {a.nom} nur noch {p}.", a=np(_WARES, number="sp"), x=PERCENT, p=PRICE)
# -- Opening hours and appointments ------------------------------------------------------------------------------------
_add("{a} in {c} is open from {t}.", "{a.nom} in {c} ist von {t} Uhr geöffnet.",
     "{a.nom} in {c} hat von {t} Uhr geöffnet.", a=np("shop", "the our"), c=CITY, t=TIMES)
_add("{a} opens at {t} and closes at {u}.", "{a.nom} öffnet um {t} Uhr und schließt um {u} Uhr.",
     a=np("shop hall", "the"), t=TIME, u=TIME)
_add("On {w}, {a} is open until {t}.", "Am {w} ist {a.nom} bis {t} Uhr geöffnet.",
     "{a.nom} ist am {w} bis {t} Uhr geöffnet.", a=np("shop hall", "the our"), w=WEEKDAY, t=TIME)
_add("Is {a} open {t}?", "Ist {a.nom} {t} geöffnet?", a=np("shop hall"), t=ON_DATE)
_add("{a} is closed from {t}.", "{a.nom} ist vom {t} geschlossen.",
     "Vom {t} ist {a.nom} geschlossen.", a=np("shop hall", "the our"), t=DATES)
_add("{p} has {e} on {t} at {u}.", "{p.nom} hat am {t} um {u} Uhr {e.acc}.", "Am {t} um {u} Uhr hat {p.nom} {e.acc}.",
     p=np("person", "the my our"), e=np("event", "a", adjective=0.3), t=DATE, u=TIME)
_add("The next appointment is on {t}.", "Der nächste Termin ist am {t} Uhr.", t=val("datetime", "short"))
_add("{e} lasts {x}.", "{e.nom} dauert {x}.", e=np("event", "the this our"), x=DURATION)
_add("{e} takes place {l} from {t}.", "{e.nom} findet von {t} Uhr {l} statt.",
     "Von {t} Uhr findet {e.nom} {l} statt.", e=np("event"), l=loc("hall"), t=TIMES)
_add("{e} takes place in {c} in {m}.", "{e.nom} findet im {m} in {c} statt.", "Im {m} findet {e.nom} in {c} statt.",
     e=np("event", "the this our"), c=CITY, m=MONTH)
_add("Company holidays of {a}: {i}", "Betriebsferien {a.gen}: {i}", a=np("shop hall", "the our"),
     i=val("interval", "medium"))
_add("Breakfast is served from {t} {l}.", "Das Frühstück wird von {t} Uhr {l} serviert.",
     "Von {t} Uhr wird {l} das Frühstück serviert.", t=TIMES, l=loc("hall"))
_add("{a} is available from {t} on.", "{a.nom} ist ab {t} Uhr verfügbar.", "Ab {t} Uhr ist {a.nom} verfügbar.",
     a=np("room", "your this the", nested=0.2), t=TIME)
_add("Our offer for {a} is valid until {t}.", "Unser Angebot für {a.acc} gilt bis zum {t}.",
     "Unser Angebot für {a.acc} ist bis zum {t} gültig.", a=np(_WARES + " bookable", "the #", "sp", nested=0.3), t=DATE)
# -- Travel ------------------------------------------------------------------------------------------------------------
_add("{a} to {c} departs at {t} from platform {n}.", "{a.nom} nach {c} fährt um {t} Uhr von Gleis {n} ab.",
     "{a.nom} nach {c} fährt um {t} Uhr auf Gleis {n} ab.", "Um {t} Uhr fährt {a.nom} nach {c} von Gleis {n} ab.",
     a=np("vehicle", adjective=0.5), c=CITY, t=TIME, n=PLATFORM)
_add("{a} from {c} arrives at {t}.", "{a.nom} aus {c} kommt um {t} Uhr an.", "Um {t} Uhr kommt {a.nom} aus {c} an.",
     a=np("vehicle", adjective=0.5), c=CITY, t=TIME)
_add("{a} to {c} is delayed by {x}.", "{a.nom} nach {c} hat {x} Verspätung.",
     "{a.nom} nach {c} ist {x} verspätet.", a=np("vehicle"), c=CITY, x=DURATION)
_add("{a} runs every {x} between {c} and {e}.", "{a.nom} fährt alle {x} zwischen {c} und {e}.",
     "{a.nom} verkehrt alle {x} zwischen {c} und {e}.", a=np("vehicle"), c=CITY, e=CITY, x=MINUTES)
_add("The journey from {c} to {e} takes {x}.", "Die Fahrt von {c} nach {e} dauert {x}.",
     "Die Reise von {c} nach {e} dauert {x}.", c=CITY, e=CITY, x=DURATION)
_add("I would like {a} for {n} people from {t}.", "Ich hätte gern {a.acc} für {n} Personen vom {t}.",
     "Ich hätte gerne {a.acc} für {n} Personen vom {t}.", a=np("lodging", "a", nested=0.5), n=FEW, t=DATES)
_add("Do you still have {a} available {t}?", "Haben Sie {t} noch {a.acc} frei?",
     a=np("room seat", "a #", nested=0.3), t=ON_DATE)
_add("Unfortunately, we have {a} left {t}.", "Leider haben wir {t} {a.acc} mehr.",
     "{t} haben wir leider {a.acc} mehr.", a=np("room seat", "no", adjective=0.2), t=ON_DATE)
_add("How far is it from {a} to {b}?", "Wie weit ist es von {a.dat} bis zu {b.dat}?", a=np("place"), b=np("place"))
_add("It is {x} from {a} to {b}.", "Von {a.dat} bis zu {b.dat} sind es {x}.", "Es sind {x} von {a.dat} bis zu {b.dat}.",
     a=np("place"), b=np("place"), x=DISTANCE)
_add("Excuse me, where is {a}?", "Entschuldigung, wo ist {a.nom}?", "Entschuldigung, wo finde ich {a.acc}?",
     a=np("place seat room", "the the our", nested=0.2))
_add("Is there {a} near {b}?", "Gibt es in der Nähe {b.gen} {a.acc}?", a=np("place", "a"), b=np("place", "the this"))
_add("{a} is on the {f} floor.", "{a.nom} ist im {f} Stock.", "{a.nom} befindet sich im {f} Stock.",
     "{a.nom} liegt im {f} Stock.", a=np("room hall", "the your our", nested=0.2), f=FLOOR)
_add("{x} of the guests are satisfied with {a}.", "{x} der Gäste sind mit {a.dat} zufrieden.",
     a=np("room food vehicle shop", "the our", "sp"), x=PERCENT)
_add("I am not satisfied with {a}.", "Ich bin mit {a.dat} nicht zufrieden.", "Mit {a.dat} bin ich nicht zufrieden.",
     a=np("room food machine furniture vehicle", "the this my your", "ssp", nested=0.3))
_add("I am interested in {a}.", "Ich interessiere mich für {a.acc}.",
     a=np("room bookable furniture machine car", "the this a", "sp", nested=0.4))
_add("We have been waiting for {a} since {t}.", "Wir warten seit dem {t} auf {a.acc}.",
     "Seit dem {t} warten wir auf {a.acc}.", a=np("document part goods", "the our", "sp", nested=0.3), t=DATE)
# -- Shop floor --------------------------------------------------------------------------------------------------------
_add("{a} [a:weighs|weigh] {x}.", "{a.nom} [a:wiegt|wiegen] {x}.",
     a=np("weighable machine furniture", number="ssp"), x=WEIGHT)
_add("{a} is {x} long and {y} wide.", "{a.nom} ist {x} lang und {y} breit.",
     a=np("measurable hall"), x=LENGTH, y=LENGTH)
_add("{a} [a:is|are] {x} too {s}.", "{a.nom} [a:ist|sind] {x} zu {s}.",
     a=np("measurable", number="ssp"), x=LENGTH, s=SMALL_LARGE)
_add("The distance between {a} and {b} is {x}.", "Der Abstand zwischen {a.dat} und {b.dat} beträgt {x}.",
     a=np("furniture machine openable", "the the our", "sp"),
     b=np("furniture machine openable", "the the our", "sp"), x=LENGTH)
_add("{a} is {v}, but {a.it} is too {w}.", "{a.nom} ist {v}, aber {a.pro} ist zu {w}.",
     a=np("furniture goods item room machine", "the this", adjective=0),
     v=one_of(("cheap", "günstig"), ("modern", "modern"), ("new", "neu"), ("nice", "schön")),
     w=one_of(("small", "klein"), ("large", "groß"), ("old", "alt"), ("expensive", "teuer")))
_add("We need {x} of {m} by {t}.", "Wir brauchen bis zum {t} {x} {m}.", "Wir benötigen bis zum {t} {x} {m}.",
     "Bis zum {t} brauchen wir {x} {m}.", x=AMOUNT, m=MASS, t=DATE)
_add("Please send us {x} of {m} and {a}.", "Bitte schicken Sie uns {x} {m} und {a.acc}.",
     "Bitte senden Sie uns {x} {m} und {a.acc}.", x=AMOUNT, m=MASS, a=np("part goods", "a # ##"))
_add("The temperature {l} is {x}.", "Die Temperatur {l} beträgt {x}.", l=loc("hall"), x=TEMPERATURE)
_add("Please set {a} to {x}.", "Bitte stellen Sie {a.acc} auf {x} ein.", a=np("heated", "the this"), x=TEMPERATURE)
_add("{a} must not become warmer than {x}.", "{a.nom} darf nicht wärmer als {x} werden.",
     a=np("machine part"), x=TEMPERATURE)
_add("The area of {a} is {x}.", "Die Fläche {a.gen} beträgt {x}.", a=np("hall room", "the this our"), x=AREA)
_add("{a} uses {x} of electricity per day.", "{a.nom} verbraucht {x} Strom pro Tag.",
     "{a.nom} verbraucht pro Tag {x} Strom.", a=np("machine", "the this our"), x=ENERGY)
_add("We have {a} in stock.", "Wir haben {a.acc} auf Lager.", a=np("part goods furniture", "##"))
_add("We ordered {a} but only received {m}.", "Wir haben {a.acc} bestellt, aber nur {m} erhalten.",
     "Wir haben {a.acc} bestellt, aber nur {m} bekommen.", a=np("part goods furniture", "## #"), m=NUMBER)
_add("{a} [a:is|are] missing from the delivery of {t}.", "In der Lieferung vom {t} [a:fehlt|fehlen] {a.nom}.",
     "{a.nom} [a:fehlt|fehlen] in der Lieferung vom {t}.", a=np("part goods furniture document", "the a #"), t=DATE)
_add("Your order of {t} was shipped on {u}.", "Ihre Bestellung vom {t} wurde am {u} versandt.",
     "Ihre Bestellung vom {t} ist am {u} versandt worden.", t=DATE, u=DATE)
_add("{a} [a:is|are] {l}.", "{a.nom} [a:ist|sind] {l}.",
     a=np("item document goods machine", "the my our #", "sp"), l=loc())
_add("There [a:is|are] {a} {l}.", "{l} gibt es {a.acc}.", "Es gibt {l} {a.acc}.",
     a=np("furniture machine goods", "a # ##"), l=loc("hall"))
_add("{a} [a:belongs|belong] to {p}.", "{a.nom} [a:gehört|gehören] {p.dat}.",
     a=np("item car document", "the this", "ssp"), p=np("person", "the my our", "ssp"))
_add("{a} produces {b} per hour.", "{a.nom} produziert {b.acc} pro Stunde.", "{a.nom} stellt pro Stunde {b.acc} her.",
     "{a.nom} produziert pro Stunde {b.acc}.", a=np("maker", "the this our"), b=np("part furniture", "##"))
_add("We sold {b} in {m}.", "Wir haben im {m} {b.acc} verkauft.", "Im {m} haben wir {b.acc} verkauft.",
     b=np("furniture goods ticket part", "##"), m=MONTH)
_add("{x} of {a} are {v}.", "{x} {a.gen} sind {v}.", a=np("part goods furniture", "the our", "p"), x=PERCENT,
     v=one_of(("damaged", "beschädigt"), ("defective", "defekt"), ("dirty", "schmutzig")))
_add("The table shows {x} more {a} than in {m}.", "Die Tabelle zeigt {x} mehr {a} als im {m}.",
     a=one_of(("orders", "Bestellungen"), ("bookings", "Buchungen"), ("deliveries", "Lieferungen")), x=PERCENT, m=MONTH)
_add("From {t}, {a} was switched off.", "Von {t} Uhr war {a.nom} ausgeschaltet.",
     "{a.nom} war von {t} Uhr ausgeschaltet.", a=np("machine", "the this our"), t=TIMES)
_add("The measured values are {x}, {y}, and {z}.", "Die Messwerte sind {x}, {y} und {z}.",
     x=LENGTH, y=LENGTH, z=LENGTH)

# fmt: on

_SLOT = re.compile(r"\{(\w)(?:\.(\w+))?\}")
_AGREE = re.compile(r"\[(\w):([^|\]]*)\|([^\]]*)\]")


def realise(d: Derivation, template: Template) -> tuple[str, list[str]]:
    """Fill the slots in both languages; the template's English pattern names it in the derivation's combinations."""
    filled = {name: fill(d, template.english) for name, fill in template.slots.items()}
    return _substitute(template.english, filled, False), [_substitute(text, filled, True) for text in template.german]


def _substitute(pattern: str, filled: dict[str, Slot], german: bool) -> str:
    def agree(match: re.Match[str]) -> str:
        phrase = filled[match.group(1)]
        return match.group(3) if isinstance(phrase, NounPhrase) and phrase.plural else match.group(2)

    def slot(match: re.Match[str]) -> str:
        name, form = match.groups()
        value = filled[name]
        if isinstance(value, Both):
            return value.german if german else value.english
        if form == "pro":
            return value.pronoun("nom")
        if form == "it":
            return "they" if value.plural else "it"
        return value.german(form) if german else value.english

    return _SLOT.sub(slot, _AGREE.sub(agree, pattern))
