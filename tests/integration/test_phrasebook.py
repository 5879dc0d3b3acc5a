"""The phrasebook: German against hand-checked forms, values against babel itself, splits against each other."""

from __future__ import annotations

import datetime
import json
import random
import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import babel.dates
import babel.lists
import babel.numbers
import babel.units
import pytest

from seq2seq.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

from phrasebook import german, lexicon, values
from phrasebook.baselines import copy_baseline, mark_errors, word_by_word
from phrasebook.derivation import held_out
from phrasebook.generate import (
    DEFAULT_SEED,
    EXPECTED_SHA256,
    SPLITS,
    Example,
    examples,
    explain_digest,
    generate,
    generate_values,
    rows,
    write_splits,
)
from phrasebook.lexicon import NOUNS, VERBS
from phrasebook.phrases import PRONOUN_SUBJECTS, YOU, Both, Clause, NounPhrase, variants
from phrasebook.templates import TEMPLATES
from phrasebook.value_pairs import ValueTask, held_out_pair

HELD_OUT = ("validation", "test", "test_unseen")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Example]]:
    return examples(DEFAULT_SEED)


def noun(english: str) -> lexicon.Noun:
    return next(noun for noun in NOUNS if noun.english == english)


def verb(english: str) -> lexicon.Verb:
    return next(verb for verb in VERBS if verb.english[0] == english)


def adjective(english: str) -> lexicon.Adjective:
    return next(adjective for adjective in lexicon.ADJECTIVES if adjective.english == english)


# -- German, against forms written down by hand ----------------------------------------------------------------------

DECLENSIONS = [
    # determiner, adjective, noun, plural -> nominative, accusative, dative, genitive
    ("the", "old", "key", False,
     "der alte Schlüssel", "den alten Schlüssel", "dem alten Schlüssel", "des alten Schlüssels"),
    ("a", "old", "key", False,
     "ein alter Schlüssel", "einen alten Schlüssel", "einem alten Schlüssel", "eines alten Schlüssels"),
    ("our", "expensive", "train ticket", False,
     "unsere teure Zugfahrkarte", "unsere teure Zugfahrkarte", "unserer teuren Zugfahrkarte",
     "unserer teuren Zugfahrkarte"),
    ("this", "new", "shelf", False, "dieses neue Regal", "dieses neue Regal", "diesem neuen Regal",
     "dieses neuen Regals"),
    ("a", "clean", "bathroom", False, "ein sauberes Bad", "ein sauberes Bad", "einem sauberen Bad",
     "eines sauberen Bades"),
    ("the", "young", "customer", False, "der junge Kunde", "den jungen Kunden", "dem jungen Kunden",
     "des jungen Kunden"),
    ("my", "reliable", "supplier", False, "mein zuverlässiger Lieferant", "meinen zuverlässigen Lieferanten",
     "meinem zuverlässigen Lieferanten", "meines zuverlässigen Lieferanten"),
    ("the", "red", "chair", True, "die roten Stühle", "die roten Stühle", "den roten Stühlen", "der roten Stühle"),
    ("", "red", "chair", True, "rote Stühle", "rote Stühle", "roten Stühlen", "roter Stühle"),
    ("no", "damaged", "sofa", True, "keine beschädigten Sofas", "keine beschädigten Sofas",
     "keinen beschädigten Sofas", "keiner beschädigten Sofas"),
    ("your", None, "bus", False, "Ihr Bus", "Ihren Bus", "Ihrem Bus", "Ihres Busses"),
]  # fmt: skip


@pytest.mark.parametrize("row", DECLENSIONS, ids=lambda row: row[4])
def test_declension(row: tuple[str, str | None, str, bool, str, str, str, str]) -> None:
    determiner, modifier, head, plural, *expected = row
    phrase = NounPhrase(noun(head), determiner, plural, adjective(modifier) if modifier else None)
    assert [phrase.german(case) for case in ("nom", "acc", "dat", "gen")] == expected


CONJUGATIONS = [
    # verb, tense, person -> finite, end of a main clause, end of a subordinate clause
    ("return", "present", "3", "gibt", "zurück", "zurückgibt"),
    ("return", "past", "1", "habe", "zurückgegeben", "zurückgegeben habe"),
    ("arrive", "perfect", "p", "sind", "angekommen", "angekommen sind"),
    ("deliver", "present", "1", "liefere", "", "liefere"),
    ("call", "must", "3", "muss", "anrufen", "anrufen muss"),
    ("take along", "want", "1", "möchte", "mitnehmen", "mitnehmen möchte"),
    ("load", "will", "3", "wird", "beladen", "beladen wird"),
    ("sign", "passive", "p", "wurden", "unterschrieben", "unterschrieben wurden"),
    ("replace", "passive perfect", "3", "ist", "ausgetauscht worden", "ausgetauscht worden ist"),
]


@pytest.mark.parametrize("row", CONJUGATIONS, ids=lambda row: row[5])
def test_verb_clusters(row: tuple[str, str, str, str, str, str]) -> None:
    english, tense, person, *expected = row
    assert list(german.cluster(verb(english), tense, person)) == expected


def test_zu_infinitives_split_separable_verbs_only() -> None:
    assert german.zu_infinitive(verb("call")) == "anzurufen"
    assert german.zu_infinitive(verb("repair")) == "zu reparieren"


def test_word_order() -> None:
    key = NounPhrase(noun("key"), "the")
    clause = Clause(PRONOUN_SUBJECTS[1], verb("return"), "past", accusative=key, time=Both("yesterday", "gestern"))
    assert [german.finish(text + " .") for text in clause.main()] == [
        "Wir haben den Schlüssel gestern zurückgegeben.",
        "Gestern haben wir den Schlüssel zurückgegeben.",
        "Wir haben gestern den Schlüssel zurückgegeben.",
    ]
    assert clause.english() == "we  returned the key yesterday"
    assert german.finish("weil " + clause.final()[0]) == "Weil wir den Schlüssel gestern zurückgegeben haben"
    please = Clause(YOU, verb("return"), "can", accusative=key)
    assert german.finish(f"bitte {please.imperative()[0]} .") == "Bitte geben Sie den Schlüssel zurück."


def test_new_objects_follow_the_time() -> None:
    key = NounPhrase(noun("key"), "a")
    clause = Clause(PRONOUN_SUBJECTS[0], verb("lose"), "past", accusative=key, time=Both("yesterday", "gestern"))
    assert german.finish(clause.main()[0]) == "Ich habe gestern einen Schlüssel verloren"


def test_finish_contracts_and_keeps_one_comma() -> None:
    assert german.finish("in dem Lager von dem Hotel bis zu der Tür, die wir kennen ,.") == (
        "Im Lager vom Hotel bis zur Tür, die wir kennen."
    )


def test_variants_depart_from_the_preferred_form_one_at_a_time() -> None:
    assert variants(["a", "b"], "x", ["1", "2"]) == ["a x 1", "b x 1", "a x 2"]


# -- Values, against babel called directly ---------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["en", "de", "fr", "ja", "ar", "hi", "ru"])
def test_values_are_rendered_as_babel_does(locale: str) -> None:
    day, time, half = datetime.date(2029, 3, 5), datetime.time(15, 5), Decimal("0.125")
    price = (Decimal("1234.50"), "EUR")
    kilograms = (Decimal("12.5"), "mass-kilogram")
    rendered = {
        "date": values.Value("date", "full", day, ()).render(locale),
        "time": values.Value("time", "short", time, ()).render(locale),
        "percent": values.Value("percent", "standard", half, ()).render(locale),
        "price": values.Value("price", "symbol", price, ()).render(locale),
        "quantity": values.Value("quantity", "long", kilograms, ()).render(locale),
    }
    assert rendered == {
        "date": babel.dates.format_date(day, "full", locale=locale),
        "time": babel.dates.format_time(time, "short", locale=locale),
        "percent": babel.numbers.format_percent(half, locale=locale, decimal_quantization=False),
        "price": babel.numbers.format_currency(*price, locale=locale),
        "quantity": babel.units.format_unit(*kilograms, length="long", locale=locale),
    }
    members = tuple(values.Value("time", "short", datetime.time(hour), ()) for hour in (9, 10, 11))
    listed = babel.lists.format_list([member.render(locale) for member in members], locale=locale)
    assert values.list_of(members, "standard").render(locale) == listed


def test_values_in_plain_german() -> None:
    assert values.Value("date", "long", datetime.date(2029, 3, 5), ()).render("de") == "5. März 2029"
    assert values.Value("price", "symbol", (Decimal("1234.50"), "EUR"), ()).render("de") == "1.234,50\u00a0€"


def test_drawn_values_belong_to_the_split() -> None:
    for kind, formats in values.FORMATS.items():
        for split in SPLITS:
            drawn = values.draw(kind, formats[0], split, random.Random(1))
            assert drawn.keys and {values.partition(key) for key in drawn.keys} == {split}


# -- The splits ------------------------------------------------------------------------------------------------------


def test_sizes_and_references(splits: dict[str, list[Example]]) -> None:
    assert {split: len(members) for split, members in splits.items()} == {
        "train": 20_000, "validation": 500, "test": 500, "test_unseen": 500,
    }  # fmt: skip
    for members in splits.values():
        for example in members:
            assert 1 <= len(example.references) <= 4
            assert len(set(example.references)) == len(example.references)
    assert sum(len(e.references) > 1 for e in splits["test"]) > 200


def test_no_sentence_occurs_twice(splits: dict[str, list[Example]]) -> None:
    sources = Counter(example.source for members in splits.values() for example in members)
    assert max(sources.values()) == 1
    trained = {text for example in splits["train"] for text in example.references}
    for split in HELD_OUT:
        assert not trained & {text for example in splits[split] for text in example.references}


def test_no_value_of_a_split_occurs_in_another(splits: dict[str, list[Example]]) -> None:
    keys = {split: {key for example in members for key in example.keys} for split, members in splits.items()}
    for first in SPLITS:
        for second in SPLITS:
            assert first == second or not keys[first] & keys[second]


# Written independently of the generator: what a reader sees as the same value.
SURFACES = [
    re.compile(r"\b\d{1,2}:\d\d\s[AP]M"),
    re.compile(r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d+\b"),
    re.compile(r"[€$£][\d,.]*\d"),
    re.compile(r"\b[\d.,]*\d%"),
]


@pytest.mark.parametrize("surface", SURFACES, ids=["time", "day", "price", "percent"])
def test_values_as_printed_are_disjoint(splits: dict[str, list[Example]], surface: re.Pattern[str]) -> None:
    printed = {
        split: {value for example in members for value in surface.findall(example.source)}
        for split, members in splits.items()
    }
    for split in HELD_OUT:
        assert printed[split] and not printed[split] & printed["train"]


def test_unseen_combinations_are_absent_elsewhere(splits: dict[str, list[Example]]) -> None:
    trained = {pair for example in splits["train"] for pair in example.combinations}
    assert not any(map(held_out, trained))
    for example in splits["test_unseen"]:
        assert set(example.combinations) - trained
    known = sum(set(example.combinations) <= trained for example in splits["test"])
    assert known >= 480  # a rare pair may by chance be in the test split only


def test_every_word_and_template_of_the_unseen_split_is_trained(splits: dict[str, list[Example]]) -> None:
    def atoms(split: str) -> set[str]:
        pairs = {pair for example in splits[split] for pair in example.combinations}
        return {atom for pair in pairs for atom in pair.partition(":")[2].split("|")}

    assert atoms("test_unseen") <= atoms("train")
    assert {noun.german for noun in NOUNS} <= atoms("train")
    patterns = [
        re.compile(
            re.sub(r"\\\{\w(\\\.\w+)?\\\}", ".+", re.sub(r"\\\[.*?\\\]", ".+", re.escape(template.english))), re.I
        )
        for template in TEMPLATES
    ]
    trained = "\n".join(example.source for example in splits["train"])
    assert [pattern.pattern for pattern in patterns if not pattern.search(trained)] == []


def test_one_source_has_one_set_of_references(splits: dict[str, list[Example]]) -> None:
    known = {example.source: example.references for members in splits.values() for example in members}
    for other in examples(DEFAULT_SEED + 1, 1_000).values():
        for example in other:
            assert known.setdefault(example.source, example.references) == example.references


def test_sentences_are_tidy(splits: dict[str, list[Example]]) -> None:
    untidy = re.compile(r"  | [,.?]|,,|,\.|^[a-zäöü]|\b[Aa] [aeiou](?!ne-)|\b(?:in|an|von|bei|zu) dem\b|\{|\[")
    for members in splits.values():
        for example in members:
            for text in [example.source, *example.references]:
                assert not untidy.search(text), text


def test_default_splits_have_the_recorded_digest(splits: dict[str, list[Example]], tmp_path: Path) -> None:
    digest = write_splits(tmp_path, rows(splits, DEFAULT_SEED))
    assert digest == EXPECTED_SHA256, explain_digest(digest)
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 20_001 and lines[-1] == ""
    row = json.loads(lines[0])
    assert set(row) == {"en", "de"} and len(row["de"]) == 1


def test_explain_digest_names_the_babel_version() -> None:
    assert "recorded" in explain_digest(EXPECTED_SHA256)
    assert "CLDR" in explain_digest("0") and babel.__version__ in explain_digest("0")


def test_the_same_seed_gives_the_same_rows(splits: dict[str, list[Example]]) -> None:
    first = generate(3, 200)
    assert first == generate(3, 200)
    assert first["train"] != rows(splits, DEFAULT_SEED)["train"][:200]


# -- Values only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locales", [("en", "fr"), ("en", "ja"), ("ar", "hi"), ("ru", "en")])
def test_value_task(locales: tuple[str, str]) -> None:
    splits = generate_values(1, 300, *locales)
    assert {split: len(members) for split, members in splits.items()} == {
        "train": 300, "validation": 500, "test": 500, "test_unseen": 500,
    }  # fmt: skip
    targets: dict[str, object] = {}
    for members in splits.values():
        for row in members:
            assert set(row) == set(locales)
            source = row[locales[0]]
            assert isinstance(source, str) and source not in targets
            targets[source] = row[locales[1]]
            assert not re.search(r"mass-|length-|duration-|volume-", f"{source} {row[locales[1]]}")


def test_value_task_holds_out_neighbours_in_lists() -> None:
    task, source = ValueTask("en", "fr"), random.Random(1)
    for split in SPLITS:
        drawn = [item for item in (task.draw(source, split) for _ in range(100)) if item]
        for *_, keys, pairs in drawn:
            assert any(map(held_out_pair, pairs)) == (split == "test_unseen")
            assert {values.partition(key) for key in keys} == {split}


def test_sources_that_say_less_than_their_targets_are_left_out() -> None:
    """Short French dates have four digits of the year, short English ones two: the century must not be in doubt."""
    assert (values.FIRST_YEAR // 100, values.LAST_YEAR // 100) == (20, 20)
    task = ValueTask("en", "fr")
    assert ("date", "short") in task.formats
    for locales in (("ja", "en"), ("en", "zh_Hant")):
        probe: dict[str, str] = {}
        task = ValueTask(*locales)
        source = random.Random(5)
        for kind, name in task.formats:
            for _ in range(60):
                value = values.draw(kind, name, "train", source, task.units)
                assert probe.setdefault(value.render(locales[0]), value.render(locales[1])) == value.render(locales[1])


@pytest.mark.parametrize("name", ["xx", "klingon", "en-XX-YY-ZZ", ""])
def test_unknown_locale_is_a_user_error(name: str) -> None:
    with pytest.raises(UserError, match=f"unknown locale '{name}'.*fr, ja"):
        generate_values(1, 10, "en", name)


def test_equal_locales_are_a_user_error() -> None:
    with pytest.raises(UserError, match="choose two"):
        generate_values(1, 10, "de", "de")


# -- Baselines -------------------------------------------------------------------------------------------------------


def test_word_by_word_learns_a_toy_dictionary() -> None:
    nouns = {"house": "Haus", "book": "Buch", "horse": "Pferd", "window": "Fenster"}
    colours = {"red": "rote", "new": "neue", "small": "kleine"}
    pairs = [
        (f"the {c} {n}", f"das {colours[c]} {nouns[n]}") for c in colours for n in nouns if (c, n) != ("red", "horse")
    ]
    translate = word_by_word(pairs)
    assert translate(["the red horse", "The small zebra.", ""]) == ["Das rote Pferd", "Das kleine zebra.", ""]


def test_copy_baseline() -> None:
    assert copy_baseline(["a", ""]) == ["a", ""]


def test_mark_errors_uses_the_nearest_reference() -> None:
    line = mark_errors(
        "Der Zug fährt um 15:04 ab.", ["Um 15:05 Uhr fährt der Zug ab.", "Der Zug fährt um 15:05 Uhr ab."]
    )
    assert line == "Der Zug fährt um [-15:04-] {+15:05 Uhr+} ab."
    assert mark_errors("gut so", ["gut so"]) == "gut so"
