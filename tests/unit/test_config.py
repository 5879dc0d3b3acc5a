import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from seq2seq.config import UserError, check, from_dict, read_config, to_dict, write_config


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    kind: Literal["dot", "general"] = "dot"

    def __post_init__(self) -> None:
        check(self.rate >= 0, f"rate must not be negative, got {self.rate}")


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
        ({"name": "x", "inner": {"rate": float("nan")}}, "option 'inner.rate' must be a number"),
        ({"name": "x", "inner": {"rate": -1}}, "run.json: rate must not be negative, got -1.0"),
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
