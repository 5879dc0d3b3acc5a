"""Every option has a type, and every number bounds: of the library's configuration classes and of the recipes' own."""

import dataclasses
import importlib
import json
import math
import pkgutil
import re
import typing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import seq2seq
from seq2seq.config import to_dict
from seq2seq.errors import UserError

RECIPES = Path(__file__).parents[2] / "recipes"
BAD = [math.nan, math.inf, -math.inf, 10**30, 1e30, 10**5_000, -(10**30), "5", True, None]


def modules() -> list[Any]:
    modules = pkgutil.walk_packages(seq2seq.__path__, "seq2seq.")
    names = [each.name for each in modules if not each.name.endswith("__main__")]
    return [importlib.import_module(name) for name in [*names, *(path.stem for path in RECIPES.glob("*.py"))]]


def configurations() -> list[type[Any]]:
    """All configuration classes: those that bear such a name, and all that they are made of."""
    named = {
        each
        for module in modules()
        for name, each in vars(module).items()
        if dataclasses.is_dataclass(each) and isinstance(each, type) and re.search("(Config|Task)$", name)
    }
    return sorted(named, key=lambda each: (each.__module__, each.__name__))


def is_optional(cls: type[Any], name: str) -> bool:
    """Whether the field may be without a number, which is its default then."""
    return type(None) in typing.get_args(typing.get_type_hints(cls)[name])


def numbers(cls: type[Any]) -> list[str]:
    """Names of the fields that hold a number."""
    hints = typing.get_type_hints(cls)
    return [
        field.name
        for field in dataclasses.fields(cls)
        if {int, float} & {hints[field.name], *typing.get_args(hints[field.name])}
    ]


WRONG: dict[Any, list[Any]] = {
    bool: ["false", 1, 0, None, 0.0],
    str: [3, True, b"text", ["text"], 1.5],
    Literal: ["no such choice", 3, None, True],
    dataclasses.dataclass: [None, {}, "text", 3],
    tuple: [3, True, b"text", 1.5, [3], [None], ["text", b"text"], [["text"]]],
}
"""Values that no option of the type takes."""


def others(cls: type[Any]) -> list[tuple[str, Any]]:
    """Names of the fields that hold no number, and which of WRONG is theirs."""
    hints = typing.get_type_hints(cls)
    return [
        (each.name, _type_of(hints[each.name])) for each in dataclasses.fields(cls) if each.name not in numbers(cls)
    ]


def _type_of(annotation: Any) -> Any:
    if dataclasses.is_dataclass(annotation):
        return dataclasses.dataclass
    if typing.get_origin(annotation) is Literal:
        return Literal
    if any(typing.get_origin(each) is tuple for each in typing.get_args(annotation)):
        return tuple
    return bool if annotation is bool else str


def made(cls: type[Any]) -> Any:
    """An instance, of defaults as far as there are any."""
    required = [field.name for field in dataclasses.fields(cls) if _is_required(field)]
    return cls(**{name: f"some {name}" for name in required})


def _is_required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


FIELDS = [(cls, name) for cls in configurations() for name in numbers(cls)]
OTHERS = [(cls, *field) for cls in configurations() for field in others(cls)]


def test_the_walk_finds_what_there_is() -> None:
    found = {f"{cls.__name__}.{name}" for cls, name in FIELDS}
    expected = {"SearchConfig.beam_size", "TrainerConfig.seed", "OptimizerConfig.beta2", "BatchingConfig.row_step"}
    expected |= {"EncoderConfig.layers", "FrontEndConfig.blocks", "VocabularyConfig.size", "DataConfig.max_ratio"}
    expected |= {"ModelConfig.state_dropout"}
    expected |= {"LanguageModelTask.window", "ExperimentConfig.label_smoothing", "Config.training_strips"}
    assert expected <= found
    assert len({cls for cls, _ in FIELDS if cls.__name__ == "Config"}) >= 12


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda each: getattr(each, "__qualname__", each))
def test_no_field_takes_what_is_no_number_of_sensible_size(cls: type[Any], name: str) -> None:
    config = made(cls)
    admitted = [None] if is_optional(cls, name) else []
    for value in [each for each in BAD if each not in admitted]:
        with pytest.raises(UserError, match=rf"\b{name} must be a (whole )?number from -?[\d.,]+ to [\d.,]+") as error:
            dataclasses.replace(config, **{name: value})
        assert "\n" not in str(error.value)


def test_the_walk_finds_options_of_every_type() -> None:
    found = {(f"{cls.__name__}.{name}", kind) for cls, name, kind in OTHERS}
    expected = {("ExperimentConfig.streaming", bool), ("ExperimentConfig.license", str), ("DataConfig.data", tuple)}
    expected |= {("EncoderConfig.cell", Literal), ("VocabularyConfig.source_model", str), ("TaskConfig.quick", bool)}
    expected |= {("ModelConfig.encoder", dataclasses.dataclass), ("TrainerConfig.precision", Literal)}
    assert expected <= found


@pytest.mark.parametrize(("cls", "name", "kind"), OTHERS, ids=lambda each: getattr(each, "__qualname__", each))
def test_no_field_takes_a_value_of_another_type(cls: type[Any], name: str, kind: Any) -> None:
    config = made(cls)
    for value in WRONG[kind]:
        with pytest.raises(UserError, match=rf"\b{name}'? must be ") as error:
            dataclasses.replace(config, **{name: value})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda each: getattr(each, "__qualname__", each))
def test_numbers_of_numpy_are_stored_as_those_of_python(cls: type[Any], name: str) -> None:
    config = made(cls)
    usual = 0.5 if is_optional(cls, name) else getattr(config, name)
    for kind in (np.int64, np.uint32) if isinstance(usual, int) else (np.float64, np.float32):
        stored = getattr(dataclasses.replace(config, **{name: kind(usual)}), name)
        assert type(stored) is type(usual)
        assert stored == pytest.approx(usual)


def test_no_whole_number_is_made_of_another_one() -> None:
    for value in (np.float64(2), np.bool_(True), np.array([2])):
        with pytest.raises(UserError, match=r"search\.beam_size must be a whole number from 1 to 1000, not "):
            seq2seq.SearchConfig(beam_size=value)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (seq2seq.ExperimentConfig, "output"),
        (seq2seq.PredictorTask, "start_from"),
        (seq2seq.VocabularyConfig, "source_model"),
        (seq2seq.ExperimentConfig, "data"),
    ],
)
def test_a_path_is_stored_as_text(cls: type[Any], name: str) -> None:
    config = dataclasses.replace(made(cls), **{name: Path("some") / "file"})
    assert getattr(config, name) == str(Path("some") / "file")
    assert json.loads(json.dumps(to_dict(config)))[name] == getattr(config, name)
