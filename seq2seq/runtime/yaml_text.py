"""YAML, read and written so that no text becomes something else."""

from __future__ import annotations

import re
from typing import Any

import yaml

# YAML 1.1, which PyYAML follows, reads 1e-3 as a string (it lacks a dot).
FLOAT_WITHOUT_DOT = re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$")


class Loader(yaml.SafeLoader):
    """Safe YAML, in which 1e-3 is a number and only true/false are booleans: "no" is the code of Norwegian. A key that
    stands twice in one mapping is an error: YAML would take the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML has it."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Dumper(yaml.SafeDumper):
    """Quotes every string that `Loader` or another YAML reader would take for something else."""


for _yaml_class in (Loader, Dumper):
    _yaml_class.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT_WITHOUT_DOT, list("-+0123456789"))
for _first in "yYnNoO":
    _resolvers = Loader.yaml_implicit_resolvers[_first]
    Loader.yaml_implicit_resolvers[_first] = [pair for pair in _resolvers if pair[0] != "tag:yaml.org,2002:bool"]
