import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from seq2seq.config import Real, Whole, check_number, check_numbers, from_dict, read_config, to_dict, write_config
from seq2seq.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    kind: Literal["dot", "general"] = "dot"

    def __post_init__(self) -> None:
        check_numbers(self, "inner", rate=Real(0, 10))


@dataclass(frozen=True)
class Outer:
    name: str
    steps: int = 10
    active: bool = False
    model: str | None = None
    inner: Inner = field(default_factory=Inner)


FULL = Outer("no", steps=3, active=True, model="1e-3", inner=Inner(rate=1e-5, kind="general"))


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
@pytest.mark.parametrize("config", [FULL, Outer("ü \u2028 名前")])
def test_files_give_back_what_was_written(tmp_path: Path, suffix: str, config: Outer) -> None:
    path = tmp_path / f"config.{suffix}"
    write_config(path, config)
    assert read_config(path, Outer) == config


def test_written_files_mean_the_same_to_other_readers(tmp_path: Path) -> None:
    write_config(tmp_path / "c.yaml", FULL)
    write_config(tmp_path / "c.json", FULL)
    assert yaml.safe_load((tmp_path / "c.yaml").read_text()) == to_dict(FULL)
    assert json.loads((tmp_path / "c.json").read_text()) == to_dict(FULL)


def test_hand_written_yaml(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: no\nmodel: null\nactive: true\ninner:\n  rate: 1e-3\n")
    assert read_config(path, Outer) == Outer("no", active=True, inner=Inner(rate=0.001))


def test_integers_are_numbers_and_defaults_fill_in() -> None:
    config = from_dict(Outer, {"name": "x", "inner": {"rate": 1}})
    assert config == Outer("x", inner=Inner(rate=1.0))
    assert isinstance(config.inner.rate, float)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"name": "x", "stesp": 1}, "run.json: unknown option 'stesp'; did you mean 'steps'?"),
        ({"name": "x", "inner": {"rote": 1}}, "run.json: unknown option 'inner.rote'; did you mean 'rate'?"),
        ({"name": "x", "zzz": 1}, "the options are name, steps, active, model, inner"),
        ({"name": "x", "steps": "3"}, "run.json: option 'steps' must be an integer, got \"3\""),
        ({"name": "x", "steps": True}, "option 'steps' must be an integer, got true"),
        ({"name": "x", "steps": 1.5}, "option 'steps' must be an integer, got 1.5"),
        ({"name": "x", "active": 1}, "option 'active' must be true or false, got 1"),
        ({"name": "x", "model": 3}, "option 'model' must be a string or null, got 3"),
        ({"name": None}, "option 'name' must be a string, got null"),
        ({"name": "x", "inner": {"kind": "cosine"}}, 'option \'inner.kind\' must be one of "dot", "general"'),
        ({"name": "x", "inner": {"rate": float("nan")}}, "inner.rate must be a number from 0 to 10, not nan"),
        ({"name": "x", "inner": {"rate": 10**400}}, "option 'inner.rate' must be a number"),
        ({"name": "x", "inner": {"rate": -1}}, "run.json: inner.rate must be a number from 0 to 10, not -1.0"),
        ({"name": "x", "inner": 3}, "option 'inner' must be a mapping"),
        ({}, "run.json: option 'name' is required"),
        ([1], "run.json: the configuration must be a mapping"),
    ],
)
def test_mistakes_are_named(mapping: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        from_dict(Outer, mapping, where="run.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", '{"name": "x",\n "steps": }', "c.json, line 2: malformed JSON"),
        ("c.yaml", "name: x\nsteps: [1\n", "c.yaml, line 3: malformed YAML"),
        ("c.yaml", "name: x\nsteps: 1\nsteps: 2\n", "c.yaml, line 3: malformed YAML: 'steps' is given twice"),
        ("c.yaml", "? [a]\n: 1\n", "c.yaml, line 1: malformed YAML: found unhashable key"),
        ("c.yaml", "name: !!python/object/apply:os.getcwd []", "malformed YAML"),
        ("c.yaml", "", "option 'name' is required"),
        ("c.toml", "", "must end in .json, .yaml or .yml"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message.replace("[", r"\[")) as error:
        read_config(tmp_path / name, Outer)
    assert "\n" not in str(error.value)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json: cannot read the configuration: No such file"):
        read_config(tmp_path / "none.json", Outer)
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match=r"c\.json: the configuration is not UTF-8"):
        read_config(tmp_path / "c.json", Outer)
    with pytest.raises(UserError, match="cannot write the configuration"):
        write_config(tmp_path / "absent" / "c.json", FULL)


@pytest.mark.parametrize(
    ("allowed", "value", "message"),
    [
        (Whole(1, 1_000), 2.5, "beam must be a whole number from 1 to 1000, not 2.5"),
        (Whole(1, 1_000), "5", "beam must be a whole number from 1 to 1000, not '5'"),
        (Whole(1, 1_000), True, "beam must be a whole number from 1 to 1000, not True"),
        (Whole(1, 1_000), 1_001, "beam must be a whole number from 1 to 1000, not 1001"),
        (Whole(0, 1_000_000), None, "beam must be a whole number from 0 to 1,000,000, not None"),
        (Whole(0, 9), 10**40, "beam must be a whole number from 0 to 9, not one of more than 40 digits"),
        (Real(0, 1, without=(1,)), 1.0, "beam must be a number from 0 to 1, without 1, not 1.0"),
        (Real(0, 1, without=(0, 1)), 0, "beam must be a number from 0 to 1, without 0 and 1, not 0"),
        (Real(0, 100), float("inf"), "beam must be a number from 0 to 100, not inf"),
        (Real(0, 100), False, "beam must be a number from 0 to 100, not False"),
    ],
)
def test_a_number_out_of_bounds_is_refused_in_one_sentence(allowed: Whole | Real, value: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        check_number("beam", value, allowed)
    assert str(error.value) == message


def test_a_number_that_python_cannot_write_out_is_refused_too() -> None:
    with pytest.raises(UserError, match="steps must be a whole number from 0 to 9, not one of more than 40 digits"):
        check_number("steps", 10**5_000, Whole(0, 9))


def test_bounds_are_included() -> None:
    for value in (1, 1_000):
        check_number("beam", value, Whole(1, 1_000))
    for value in (0, 0.0, 100.0, 1e-300):
        check_number("penalty", value, Real(0, 100))
