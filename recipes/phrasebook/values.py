"""Dates, times, numbers, prices, percentages, quantities and lists, rendered for any locale by babel (CLDR data).

What a value looks like in a language is therefore the Unicode consortium's truth, not this file's. No-break spaces
and bidirectional marks are kept as CLDR has them. A value carries `keys`, canonical and free of format, by which
`partition` sends each value to exactly one split, so that no value of a test split occurs in training.
"""

from __future__ import annotations

import datetime
import hashlib
import random as random_module
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_interval, format_skeleton, format_time, get_day_names
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit

from seq2seq.errors import UserError

CURRENCIES = ("EUR", "USD", "GBP", "CHF")
# Unit -> the largest amount drawn, and whether tenths are drawn too.
_RANGES = {
    "mass-kilogram": (999, True), "mass-gram": (999, False), "length-meter": (99, True),
    "length-centimeter": (400, True), "length-millimeter": (999, False), "length-kilometer": (999, True),
    "volume-liter": (500, True), "temperature-celsius": (90, True), "area-square-meter": (999, True),
    "energy-kilowatt-hour": (500, True), "duration-hour": (48, False), "duration-minute": (90, False),
}  # fmt: skip
UNITS = tuple(_RANGES)
# One century only, so that a two-digit year in the source determines the four digits of the target.
FIRST_YEAR, LAST_YEAR = 2021, 2032

FORMATS: dict[str, tuple[str, ...]] = {
    "date": ("medium", "long", "full", "day", "short"),
    "month": ("wide",),
    "time": ("short", "medium"),
    "datetime": ("medium", "short"),
    "interval": ("medium",),
    "number": ("integer", "fraction", "small"),
    "price": ("symbol", "name"),
    "percent": ("standard",),
    "quantity": ("long", "short"),
    "duration": ("long", "short"),
}


@dataclass(frozen=True)
class Value:
    """A value of one kind, the CLDR format to show it in, and its canonical keys (see `partition`)."""

    kind: str
    format: str
    data: Any
    keys: tuple[str, ...]

    def render(self, locale: str) -> str:
        """The value as CLDR writes it in `locale` (an identifier that `parse_locale` returned)."""
        return _render(self.kind, self.format, self.data, locale)


@cache
def parse_locale(name: str) -> str:
    """The identifier babel uses for `name` (fr, pt-BR, zh_Hant); UserError where CLDR has no such locale."""
    try:
        return str(Locale.parse(name.replace("-", "_")))
    except (UnknownLocaleError, ValueError, TypeError):
        message = f"unknown locale {name!r}: babel knows, for example, de, fr, ja, ar, hi, ru, pt_BR, zh_Hant"
        raise UserError(message) from None


@cache
def partition(key: str) -> str:
    """The one split whose sentences may contain the value of this key: 70 % train, 10 % each of the others.

    Dates are keyed by month and day and times by hour and minute, whatever the year, the seconds or the format.
    """
    bucket = hashlib.sha256(key.encode("utf-8")).digest()[0] % 10
    return ("validation", "test", "test_unseen")[bucket] if bucket < 3 else "train"


def draw(kind: str, format: str, split: str, random: random_module.Random, units: tuple[str, ...] = UNITS) -> Value:
    """A random value of this kind whose every key belongs to `split`; `units` limits quantities."""
    if kind == "datetime":
        day, time = draw("date", format, split, random), draw("time", format, split, random)
        return Value(kind, format, datetime.datetime.combine(day.data, time.data), day.keys + time.keys)
    if kind == "interval":
        return _draw_interval(format, split, random)
    for _ in range(100_000):
        data = _draw_quantity(random, units) if kind == "quantity" else _DRAW[kind](random, format)
        keys = _keys(kind, data)
        if all(partition(key) == split for key in keys):
            return Value(kind, format, data, keys)
    raise AssertionError(f"no value of kind {kind} belongs to {split}")


def list_of(values: tuple[Value, ...], style: str) -> Value:
    """A list of values ("standard": with and; "or"), itself a value with its members' keys."""
    return Value("list", style, values, tuple(key for value in values for key in value.keys))


@cache
def weekday(day: int, locale: str) -> str:
    """CLDR's name of a day of the week (0 = Monday): a closed class that every split shares."""
    return str(get_day_names("wide", locale=locale)[day])


def join_list(items: tuple[str, ...], locale: str, style: str = "standard") -> str:
    """Strings joined as CLDR joins a list: "a, b, and c", "a, b und c"."""
    return format_list(items, style=style, locale=locale)  # type: ignore[arg-type]


def _draw_interval(format: str, split: str, random: random_module.Random) -> Value:
    """From a day of the split to another, two to forty days later."""
    ends: list[datetime.date] = []
    while not ends:
        start = draw("date", format, split, random)
        days = [start.data + datetime.timedelta(days=n) for n in range(2, 41)]
        ends = [day for day in days if partition(_keys("date", day)[0]) == split]
    end = random.choice(ends)
    return Value("interval", format, (start.data, end), start.keys + _keys("date", end))


def _draw_date(random: random_module.Random, format: str) -> datetime.date:
    first = datetime.date(FIRST_YEAR, 1, 1).toordinal()
    last = datetime.date(LAST_YEAR, 12, 31).toordinal()
    return datetime.date.fromordinal(random.randrange(first, last + 1))


def _draw_time(random: random_module.Random, format: str) -> datetime.time:
    hour = random.randrange(6, 22) if random.random() < 0.85 else random.randrange(24)
    return datetime.time(hour, random.randrange(60), random.randrange(60) if format == "medium" else 0)


def _draw_number(random: random_module.Random, format: str) -> Decimal:
    if format == "fraction":
        return Decimal(random.randrange(1, 10_000)) / (10 if random.random() < 0.5 else 100)
    if format == "small":
        return Decimal(random.randrange(13, 300))
    return Decimal(random.randrange(13, 1000) if random.random() < 0.6 else random.randrange(1000, 100_000))


def _draw_price(random: random_module.Random, format: str) -> tuple[Decimal, str]:
    cents = random.randrange(100, 20_000) if random.random() < 0.7 else random.randrange(20_000, 500_000)
    if random.random() < 0.4:
        cents -= cents % 100
    return Decimal(cents) / 100, random.choice(CURRENCIES)


def _draw_quantity(random: random_module.Random, units: tuple[str, ...]) -> tuple[Decimal, str]:
    unit = random.choice(units)
    largest, tenths = _RANGES[unit]
    if tenths and random.random() < 0.5:
        return Decimal(random.randrange(2, 10 * min(largest, 100))) / 10, unit
    return Decimal(random.randrange(2, largest + 1)), unit


def _draw_duration(random: random_module.Random, format: str) -> tuple[int, int]:
    return random.randrange(1, 12), random.randrange(1, 60)


_DRAW: dict[str, Callable[[random_module.Random, str], Any]] = {
    "date": _draw_date,
    "month": lambda random, format: _draw_date(random, format).replace(day=1),
    "time": _draw_time,
    "number": _draw_number,
    "price": _draw_price,
    "percent": lambda random, format: Decimal(random.randrange(1, 200)) / 200,
    "duration": _draw_duration,
}


def _keys(kind: str, data: Any) -> tuple[str, ...]:
    if kind == "date":
        return (f"date:{data:%m-%d}",)
    if kind == "month":
        return (f"month:{data:%Y-%m}",)
    if kind == "time":
        return (f"time:{data:%H:%M}",)
    if kind == "duration":
        return (f"duration:{data[0]}:{data[1]}",)
    amount = data[0] if kind in ("price", "quantity") else data
    return (f"{kind}:{amount.normalize():f}",)


@cache
def _render(kind: str, format: str, data: Any, locale: str) -> str:
    return _RENDER[kind](data, format, locale)


def _render_date(day: datetime.date, format: str, locale: str) -> str:
    if format == "day":
        return format_skeleton("MMMMd", day, locale=locale)
    return format_date(day, format, locale=locale)


def _render_number(number: Decimal, format: str, locale: str) -> str:
    return format_decimal(number, locale=locale, decimal_quantization=False)


def _render_price(data: tuple[Decimal, str], format: str, locale: str) -> str:
    return format_currency(*data, locale=locale, format_type="name" if format == "name" else "standard")


def _render_quantity(data: tuple[Decimal, str], format: str, locale: str) -> str:
    return format_unit(data[0], data[1], length=format, locale=locale)  # type: ignore[arg-type]


def _render_duration(data: tuple[int, int], format: str, locale: str) -> str:
    parts = [
        format_unit(amount, unit, length=format, locale=locale)  # type: ignore[arg-type]
        for amount, unit in zip(data, ("duration-hour", "duration-minute"), strict=True)
    ]
    return format_list(parts, locale=locale)


def _render_interval(data: tuple[datetime.date, datetime.date], format: str, locale: str) -> str:
    return format_interval(data[0], data[1], "yMMMd", locale=locale)


_RENDER: dict[str, Callable[[Any, str, str], str]] = {
    "date": _render_date,
    "month": lambda day, format, locale: format_skeleton("yMMMM", day, locale=locale),
    "time": lambda time, format, locale: format_time(time, format, locale=locale),
    "datetime": lambda moment, format, locale: format_datetime(moment, format, locale=locale),
    "interval": _render_interval,
    "number": _render_number,
    "price": _render_price,
    "percent": lambda share, format, locale: format_percent(share, locale=locale, decimal_quantization=False),
    "quantity": _render_quantity,
    "duration": _render_duration,
    "list": lambda values, style, locale: join_list(tuple(v.render(locale) for v in values), locale, style),
}
