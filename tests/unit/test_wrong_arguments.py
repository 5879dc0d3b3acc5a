"""Every public function and class refuses what it cannot take by a UserError."""

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seq2seq

EXCEPTIONS = ("Interrupted", "UserError", "check")


def public(name: str) -> Callable[..., Any] | None:
    """What can be called and must be given something; None for all else."""
    found = getattr(seq2seq, name)
    if not callable(found) or name in EXCEPTIONS:
        return None
    try:
        return found if arguments_needed(found) else None
    except ValueError:  # no signature: constants of types
        return None


def arguments_needed(function: Callable[..., Any]) -> int:
    given = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(each.kind in given and each.default is each.empty for each in parameters)


@pytest.mark.parametrize("name", [name for name in seq2seq.__all__ if public(name)])
@pytest.mark.parametrize("wrong", [5, None, object(), b"x", 1.5, {}], ids=lambda value: type(value).__name__)
def test_a_wrong_type_is_a_user_error(name: str, wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    function = public(name)
    assert function is not None
    with contextlib.suppress(seq2seq.UserError):
        result = function(*[wrong] * arguments_needed(function))
        if inspect.isgenerator(result):
            list(result)
    assert not list(tmp_path.iterdir())
