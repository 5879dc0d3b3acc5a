"""Models built for stored weights. A stored configuration may be damaged or hostile: its sizes are compared with those
of the tensors before time or memory goes into building the model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from seq2seq.config import BUILD_OPTION, KIND_OPTION, format_of
from seq2seq.errors import Interrupted, UserError, check
from seq2seq.runs.layout import CONFIG_FILE, MODEL_FILE
from seq2seq.runs.weights import check_bound, check_shapes, load_weights, model_tensors, stored_config, stored_shapes
from seq2seq.runtime.distributed import connection_lost

Model = TypeVar("Model", bound=nn.Module)

Kind = Literal["translator", "generator", "predictor", "language_model"]
"""What a run can hold."""
KINDS: tuple[Kind, ...] = get_args(Kind)
USES: dict[Kind, str] = {
    "translator": "seq2seq translate {}",
    "generator": "seq2seq predict {} INPUT",
    "predictor": "seq2seq predict {} INPUT",
    "language_model": "seq2seq sample {} TEXT",
}
"""The command that a run of each kind is for."""
Build = Callable[..., Any]
"""A user's function: a model's configuration and the sizes of its vocabularies (source and target of a translator, one
of a generator or a language model, none of a predictor) to the model, with first weights."""


class Stored(NamedTuple):
    """What a run's config.json says of its model."""

    model: dict[str, Any]
    """Its part of the configuration."""
    kind: Kind
    built_by: str = ""
    """The user's function that built it, module:name; empty of a standard model."""


COUNTS = ("layers", "forward_layers", "rollouts", "blocks")
"""Options that count parts of a model. Each part has a tensor at least."""
WIDTHS = ("embedding_size", "hidden_size", "proj_size", "size", "outputs", "classes", "input_size", "characters")
"""Options that are a dimension of a tensor."""


def checked_model(directory: Path) -> dict[str, Any]:
    """The model's part of a run's configuration, once it is known to be the one that the weights were trained with, and
    of no larger sizes than they have. Reads no tensor. Raises UserError otherwise."""
    return _checked(directory).model


def stored_of_kind(directory: Path, kind: Kind | None, build: Build | None = None) -> Stored:
    """What config.json says of the model, checked as `checked_model` does. Raises UserError where it is not of the kind
    that was asked for, or a user's function that built it is missing or given in vain."""
    check(kind is None or (isinstance(kind, str) and kind in KINDS), f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    stored = _checked(directory)
    check(
        kind in (None, stored.kind),
        f"{directory}: holds a {stored.kind}, not a {kind}; in Python seq2seq.load({str(directory)!r}) gives it, "
        f"the command for it is {USES[stored.kind].format(directory)}",
    )
    check_builder(directory, stored.built_by, build)
    return stored


def refuse_other_kind(directory: Path, wanted: Kind, advice: str) -> None:
    """Raises UserError, which ends with the advice, where the run in a directory holds a model of another kind. A
    configuration that is damaged is left to those who read all of it."""
    try:
        kind = read_stored(directory).kind
    except UserError:
        return
    check(kind == wanted, f"{directory}: holds a {kind}, not a {wanted}; {advice}")


def check_builder(directory: Path, built_by: str, build: Build | None) -> None:
    """Raises UserError where a run's model was built by a user's function and none is given, or the other way round."""
    name = built_by.rpartition(":")[2]
    check(
        build is not None or not built_by,
        f"{directory}: its model was built by {built_by}, which is no part of this package; give that function: in "
        f"Python build={name}, on the command line --build FILE.py:{name}",
    )
    check(
        build is None or bool(built_by),
        f"{directory}: holds a standard model, which no other function builds; leave build (--build) out",
    )


def builder_name(build: Build | None) -> str:
    """What config.json records of a user's function: module:name; nothing where there is none."""
    if build is None:
        return ""
    return f"{build.__module__}:{getattr(build, '__qualname__', type(build).__name__)}"


def build_own(build: Callable[..., Model], *arguments: Any) -> Model:
    """What a user's function gives. Raises UserError where that is no model, or the function fails; its own error is
    the cause."""
    try:
        model = build(*arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{builder_name(build)} failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{builder_name(build)} gave {type(model).__name__}; it must return a model (a torch.nn.Module)"
        )
    check(any(True for _ in model.parameters()), f"{builder_name(build)} gave a model without weights to train")
    return model


@contextlib.contextmanager
def own_failures_named(build: Build | None) -> Iterator[None]:
    """UserError, naming the user's function, in place of what the model that it built raises; its error is the cause.
    Those of a standard model pass, and what files raise, such as a full disk."""
    try:
        yield
    except (UserError, Interrupted, OSError):
        raise
    except Exception as error:
        if build is None or connection_lost(error):
            raise
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise UserError(f"the model that {builder_name(build)} gave cannot be trained: {reason}") from error


def _checked(directory: Path) -> Stored:
    stored, shapes = read_stored(directory), check_bound(directory)
    if not stored.built_by:  # what of its configuration a user's function goes by is not known
        check_sizes(stored.model, shapes, str(directory / CONFIG_FILE))
    return stored


def read_stored(directory: Path) -> Stored:
    """What a run's config.json says of its model. Raises UserError where it is missing or damaged."""
    config = stored_config(directory)
    if format_of(config) == 1:
        return Stored(config["model"], _likely_kind(config["model"]))
    kind: Any = config.get(KIND_OPTION)
    built_by = config.get(BUILD_OPTION, "")
    path = directory / CONFIG_FILE
    check(kind in KINDS, f"{path}: option '{KIND_OPTION}' must be {' or '.join(KINDS)}; restore the run's own")
    check(isinstance(built_by, str), f"{path}: option '{BUILD_OPTION}' must be a string; restore the run's own")
    likely = _likely_kind(config["model"])
    check(
        bool(built_by) or kind == likely,
        f"{path}: option '{KIND_OPTION}' is {kind}, but the model's options are a {likely}'s; restore the run's own",
    )
    return Stored(config["model"], kind, built_by)


def _likely_kind(stored: Mapping[str, Any]) -> Kind:
    """The kind of a standard model, by its options: each has a field that the others lack."""
    if "outputs" in stored:
        return "predictor"
    if "hidden_size" in stored:
        return "language_model"
    return "generator" if "front_end" in stored else "translator"


def load_model(directory: Path, build: Build | None, assemble: Callable[..., Model], *arguments: Any) -> Model:
    """The model that `build`, a user's function, or else `assemble` gives, with the weights of a run directory. Raises
    UserError where they do not belong together; for `assemble`, before memory is taken."""
    if build is None:
        check_fits(directory / MODEL_FILE, lambda: assemble(*arguments))
    model: Model = assemble(*arguments) if build is None else build_own(build, *arguments)
    load_weights(model, directory)
    return model


def check_fits(path: Path, build: Callable[[], nn.Module]) -> None:
    """Raises UserError where the model that `build` gives has tensors of other names or shapes than a safetensors file.
    Takes no memory for them."""
    shapes, _ = stored_shapes(path)
    try:
        with ShapesAlone():
            model = build()
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError):  # sizes that torch cannot even describe
        raise UserError(f"{path}: the configuration asks for a model of impossible sizes; restore it") from None
    check_shapes(model_tensors(model), shapes, str(path))


def check_sizes(model: Mapping[str, Any], shapes: Mapping[str, list[int]], where: str) -> None:
    """Raises UserError where a model's configuration, as nested dictionaries, counts more parts than there are tensors,
    or asks for a width above their largest dimension."""
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    limits = {**dict.fromkeys(COUNTS, len(shapes)), **dict.fromkeys(WIDTHS, largest)}
    for name, value in _options(model):
        limit = limits.get(name.split(".")[-1])
        if limit is not None and isinstance(value, int) and value > limit:
            raise UserError(
                f"{where}: model.{name} is {str(value)[:20]}, but the stored weights allow {limit} at most; "
                "restore the run's own"
            )


def _options(model: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options by name, those of encoder, decoder and front end among them. Nothing valid is nested deeper."""
    for name, value in model.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", content) for inner, content in value.items())
        else:
            yield name, value


class ShapesAlone(TorchFunctionMode):
    """Within it, new tensors have a shape and no memory, and nothing is computed for their first values: torch's meta
    device would import a compiler for that, which takes longer than loading a model."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Called by torch in place of each of its functions."""
        options = options or {}
        name = getattr(function, "__name__", "")
        if function in (torch.empty, torch.zeros, torch.ones, torch.randn):
            return torch.empty(*arguments, **{**options, "device": "meta"})
        if name in ("mul", "div", "__mul__", "__truediv__") or (name.endswith("_") and not name.endswith("__")):
            return arguments[0] if arguments else next(iter(options.values()))
        return function(*arguments, **options)
