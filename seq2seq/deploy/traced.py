"""A module that an exporter of torch traces."""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Graph(NamedTuple):
    """A module, and how its tensors are called outside."""

    module: nn.Module
    inputs: dict[str, Tensor]
    """Examples, in order: no dimension of a changing size may be 0 or 1."""
    changing: dict[str, tuple[int, ...]]
    """The dimensions of each input that change from call to call."""
    outputs: Sequence[str]

    def dynamic_shapes(self) -> tuple[Any, ...]:
        """What changes, in the form of the arguments of `forward`: those of *state are a tuple of their own."""
        changing = tuple(dict.fromkeys(self.changing[name], torch.export.Dim.DYNAMIC) for name in self.inputs)
        kinds = [each.kind for each in inspect.signature(self.module.forward).parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            return changing
        named = len(kinds) - 1
        return (*changing[:named], changing[named:])


def write_program(graph: Graph, path: Path) -> None:
    """Writes a program of torch.export, which `torch.export.load(path).module(check_guards=False)` makes callable with
    the inputs in order. Its guards would refuse a beam of one, which it computes rightly."""
    with torch.inference_mode(False), torch.no_grad(), quietly():
        program = torch.export.export(
            graph.module.eval(), tuple(graph.inputs.values()), dynamic_shapes=graph.dynamic_shapes(), strict=False
        )
        torch.export.save(program, path)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' remarks, which are for their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
