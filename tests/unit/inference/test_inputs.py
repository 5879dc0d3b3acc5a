"""Texts and numbers as callers give them: lists of all kinds pass, mistakes get one sentence that says what to give."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

import seq2seq
from seq2seq import CharacterModel, Generator, Predictor, Translator, UserError

FIXTURES = Path(__file__).parents[2] / "fixtures"
TEXTS = ["ba ko mi", "lu te"]
STEPS = np.zeros((4, 4), np.float32)
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture(scope="module")
def translator() -> Translator:
    return seq2seq.load(FIXTURES / "translator-0.1.0")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return seq2seq.load(FIXTURES / "generator-0.1.0", kind="generator")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return seq2seq.load(FIXTURES / "predictor-0.1.0", kind="predictor")


@pytest.fixture(scope="module")
def characters() -> CharacterModel:
    return seq2seq.load(FIXTURES / "characters-0.1.0", kind="language_model")


def refused(call: Callable[..., Any], told: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(UserError) as error:
        call(*arguments, **options)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_name_is_not_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES / "predictor-0.1.0")
    with pytest.raises(UserError, match="the name of the run is empty"):
        seq2seq.load("")
    assert seq2seq.load(".", kind="predictor")


@pytest.mark.parametrize("values", [["1"], np.array(["2020-01-01"], "M8[D]"), np.array([1 + 2j])])
def test_what_only_converts_to_numbers_is_refused(values: Any) -> None:
    predictor = seq2seq.load(FIXTURES / "predictor-0.1.0-format2", kind="predictor")
    with pytest.raises(UserError, match=r"this model reads arrays"):
        predictor.predict([[values]])
    with pytest.raises(UserError, match="source is of type list; give a file"):
        predictor.read([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form",
    [tuple, np.array, lambda texts: np.array(texts, object), lambda texts: Dataset.from_dict({"en": texts})["en"]],
)
def test_texts_may_be_any_sequence(form: Callable[[list[str]], Any], translator: Translator) -> None:
    expected = translator.translate(TEXTS)
    assert translator.translate(form(TEXTS)) == expected
    assert [best[0].text for best in translator.stream(form(TEXTS))] == expected
    assert translator.score(form(TEXTS), form(expected)) == translator.score(TEXTS, expected)


NO_LISTS = {
    "None": (None, "must be a list of strings, not of type NoneType"),
    "number": (3, "must be a list of strings, not of type int"),
    "dict": ({"ba": 1}, "must be a list of strings, not of type dict"),
    "set": ({"ba"}, "must be a list of strings, not a set, whose order is left to chance"),
    "string": ("ba", "must be a list of strings, one per {}, not a single string"),
    "bytes": (b"ba", "must be a list of strings, one per {}, not a single string"),
    "numbers": (["ba", 3], "{} 2 is of type int; give strings"),
    "array of numbers": (np.array([1, 2]), "{} 1 is of type int64; give strings"),
    "array of no dimension": (np.array("ba"), "must be a list of strings, not of type ndarray"),
    "bytes in a list": ([b"ba"], "{} 1 is of type bytes; give strings"),
    "missing": (["ba", None], "{} 2 is of type NoneType; give strings"),
}


@pytest.mark.parametrize("case", NO_LISTS)
def test_what_is_no_list_of_texts_is_refused(case: str, translator: Translator) -> None:
    given, told = NO_LISTS[case]
    refused(translator.translate, told.format("text"), given)
    refused(translator.search, told.format("text"), given)
    refused(lambda: list(translator.stream(given)), told.format("text"))
    refused(translator.score, told.format("source"), given, ["BA"])
    refused(translator.score, told.format("target"), ["ba", "ba"], given)
    refused(translator.align, told.format("source"), given, ["BA"])


def test_a_generator_is_for_stream(translator: Translator) -> None:
    told = "texts must be a list of strings, not a generator: give list(...) of it, or use Translator.stream"
    refused(translator.translate, told, (text for text in TEXTS))
    found = translator.stream(text for text in TEXTS)
    assert [best[0].text for best in found] == translator.translate(TEXTS)
    late = translator.stream(text if number < 1500 else 7 for number, text in enumerate(["ba"] * 1501))
    refused(lambda: list(late), "text 1501 is of type int")  # not its number within the part that is read ahead


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beam": 3}, "unknown search option 'beam'; did you mean 'beam_size'?"),
        ({"xyz": 3}, "unknown search option 'xyz'; the options are beam_size, length_penalty"),
        ({"n_best": 0}, "n_best must be a whole number from 1 to 1000, not 0"),
        ({"n_best": 2.5}, "n_best must be a whole number from 1 to 1000, not 2.5"),
        ({"n_best": True}, "n_best must be a whole number from 1 to 1000, not True"),
        ({"n_best": "2"}, "n_best must be a whole number from 1 to 1000, not '2'"),
        ({"n_best": 7, "beam_size": 3}, "n_best 7 is more than beam_size 3"),
    ],
)
def test_search_options_are_checked(
    options: dict[str, Any], told: str, translator: Translator, generator: Generator
) -> None:
    refused(translator.search, told, TEXTS, **options)
    refused(translator.stream, told, TEXTS, **options)  # at once, not at the first text
    refused(generator.search, told, [STEPS], **options)


def test_translate_gives_the_best_alone(translator: Translator) -> None:
    refused(translator.translate, "search gives the n best", TEXTS, n_best=2)


def test_a_beam_that_is_not_given_is_as_wide_as_n_best(translator: Translator, generator: Generator) -> None:
    width = translator.search_config.beam_size + 2
    assert translator.search(TEXTS, n_best=width) == translator.search(TEXTS, n_best=width, beam_size=width)
    assert {len(best) for best in translator.search(TEXTS, n_best=width)} == {width}
    assert translator.search(TEXTS, n_best=2) == [best[:2] for best in translator.search(TEXTS, n_best=2, beam_size=5)]
    assert len(generator.search([STEPS], n_best=7)[0]) > generator.search_config.beam_size


def test_given_targets_are_aligned_as_translations_are(translator: Translator) -> None:
    best = [each[0] for each in translator.search(TEXTS)]
    assert translator.align(TEXTS, [each.text for each in best]) == translator.align(TEXTS, best)
    assert translator.align(TEXTS, [best[0].text, best[1]]) == translator.align(TEXTS, best)
    (alignment,) = translator.align(["ba ko"], ["MI"])  # not what the model would say
    assert "".join(alignment.target[:-1]).strip("▁") == "MI"
    assert [sum(row) for row in alignment.weights] == pytest.approx([1] * len(alignment.target))
    refused(translator.align, "2 sources but 1 targets", TEXTS, best[:1])
    refused(
        translator.align, "target 1 is of type list; give strings, or of what search", TEXTS, translator.search(TEXTS)
    )
    refused(translator.align, "targets must be a list of strings or Translations", TEXTS, None)


def test_a_translation_of_a_part_says_so() -> None:
    translator = seq2seq.load(FIXTURES / "translator-0.1.0")
    translator.max_source_tokens = 4
    texts = ["ba ko", "ba ko mi lu te so", "", "ba"]
    assert [best[0].truncated for best in translator.search(texts)] == [False, True, False, False]
    assert [best[0].truncated for best in translator.stream(texts, n_best=2)] == [False, True, False, False]


def test_threads_may_share_a_translator() -> None:
    lines = [" ".join(["ba", "ko", "mi", "lu"][: 1 + row % 4]) for row in range(24)]
    parts = [lines[start::6] for start in range(6)]
    alone = [seq2seq.load(FIXTURES / "translator-0.1.0").search(part, n_best=2) for part in parts]
    translator = seq2seq.load(FIXTURES / "translator-0.1.0")  # nothing is prepared yet
    found: list[list[Any]] = [[] for _ in parts]
    together = Barrier(len(parts))

    def work(number: int) -> None:
        together.wait()
        found[number] = [translator.search(parts[number], n_best=2) for _ in range(3)]

    threads = [Thread(target=work, args=(number,)) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[expected] * 3 for expected in alone]


NO_INPUTS = {
    "None": (None, "inputs must be a list of arrays, not of type NoneType"),
    "number": (5, "inputs must be a list of arrays, not of type int"),
    "dict": ({1: STEPS}, "inputs must be a list of arrays, not of type dict"),
    "string": ("ba", "one per input, not a single string"),
    "one of None": ([None], "input 1: this model reads arrays"),
    "strings": (["ba"], "this model reads arrays"),
}


@pytest.mark.parametrize("case", NO_INPUTS)
def test_what_is_no_list_of_inputs_is_refused(case: str, generator: Generator, predictor: Predictor) -> None:
    given, told = NO_INPUTS[case]
    for call in (generator.generate, generator.search, generator.generate_by_ctc):
        refused(call, told, given)
    told = told.replace("arrays, not of", "arrays or strings, not of")
    for call in (predictor.predict, predictor.classify):
        refused(call, told, given)


def test_inputs_may_come_from_a_generator(generator: Generator, predictor: Predictor) -> None:
    assert generator.generate(STEPS for _ in range(2)) == generator.generate([STEPS, STEPS])
    rows = predictor.predict(STEPS[:, :1] for _ in range(2))
    np.testing.assert_array_equal(rows, predictor.predict(np.stack([STEPS[:, :1]] * 2)))


@pytest.mark.parametrize("weight", ["a", NAN, INFINITE, -1, 7, True])
def test_the_weight_of_ctc_is_a_share(weight: Any, generator: Generator) -> None:
    refused(generator.generate, "ctc_weight must be a number from 0 to 1, not", [STEPS], ctc_weight=weight)


def test_other_arguments_of_a_generator_are_checked(generator: Generator) -> None:
    for size in (0, 2.5, "3"):
        refused(generator.generate_by_ctc, "beam_size must be a whole number from 1 to 1000", [STEPS], beam_size=size)
    for tokens in (["a"], [9999], [-1], [1.5]):
        refused(generator.attention, "token must be a whole number from 0 to ", STEPS, tokens)


SAMPLES = [
    (("abc", -1), {}, "length must be a whole number from 0 to 1,000,000,000, not -1"),
    (("abc", 2.5), {}, "length must be a whole number from 0 to 1,000,000,000, not 2.5"),
    (("abc", "3"), {}, "length must be a whole number from 0 to 1,000,000,000, not '3'"),
    ((None, 3), {}, "seed_text must be a string, not of type NoneType"),
    ((["a"], 3), {}, "seed_text must be a string, not of type list"),
    *(
        (("abc", 3), {"temperature": each}, "temperature must be a number from 0 to 1000, without 0")
        for each in (0, -1, NAN, INFINITE, "a")
    ),
    *((("abc", 3), {"seed": each}, "seed must be a whole number from 0 to ") for each in ("a", 2.5, -1, 2**70, None)),
]


@pytest.mark.parametrize(("arguments", "options", "told"), SAMPLES)
def test_arguments_of_sampling_are_checked(
    arguments: tuple[Any, ...], options: dict[str, Any], told: str, characters: CharacterModel
) -> None:
    refused(characters.sample, told, *arguments, **options)


def test_any_temperature_above_0_samples(characters: CharacterModel) -> None:
    """One so small that dividing by it overflows takes the most probable character."""
    for temperature in (1e-320, 1e-40, 1e-30, 1_000):
        assert len(characters.sample("abc", 3, temperature)) == 3
    assert characters.sample("abc", 3, 1e-320) == characters.sample("abc", 3, 1e-6) == "def"
    assert characters.sample("abc", 0) == ""


def test_what_is_scored_is_a_text(characters: CharacterModel) -> None:
    for text in (None, ["ab"], 5):
        refused(characters.bits_per_character, "text must be a string", text)
