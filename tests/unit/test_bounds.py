"""Every number among the options has bounds: of the library's configuration classes and of the recipes' own."""

import dataclasses
import importlib
import math
import pkgutil
import re
import typing
from pathlib import Path
from typing import Any

import pytest

import seq2seq
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


def numbers(cls: type[Any]) -> list[str]:
    """Names of the fields that hold a number."""
    hints = typing.get_type_hints(cls)
    return [
        field.name
        for field in dataclasses.fields(cls)
        if {int, float} & {hints[field.name], *typing.get_args(hints[field.name])}
    ]


def made(cls: type[Any]) -> Any:
    """An instance, of defaults as far as there are any."""
    required = [field.name for field in dataclasses.fields(cls) if _is_required(field)]
    return cls(**{name: f"some {name}" for name in required})


def _is_required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


FIELDS = [(cls, name) for cls in configurations() for name in numbers(cls)]


def test_the_walk_finds_what_there_is() -> None:
    found = {f"{cls.__name__}.{name}" for cls, name in FIELDS}
    expected = {"SearchConfig.beam_size", "TrainerConfig.seed", "OptimizerConfig.beta2", "BatchingConfig.row_step"}
    expected |= {"EncoderConfig.layers", "FrontEndConfig.blocks", "VocabularyConfig.size", "DataConfig.max_ratio"}
    expected |= {"LanguageModelTask.window", "ExperimentConfig.label_smoothing", "Config.training_strips"}
    assert expected <= found
    assert len({cls for cls, _ in FIELDS if cls.__name__ == "Config"}) >= 12


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda each: getattr(each, "__qualname__", each))
def test_no_field_takes_what_is_no_number_of_sensible_size(cls: type[Any], name: str) -> None:
    config = made(cls)
    for value in BAD:
        with pytest.raises(UserError, match=rf"\b{name} must be a (whole )?number from -?[\d.,]+ to [\d.,]+") as error:
            dataclasses.replace(config, **{name: value})
        assert "\n" not in str(error.value)
