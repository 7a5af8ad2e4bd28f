"""YAML as definitions are read and written: safe, every key only once, floats as YAML 1.2 knows them.

PyYAML follows YAML 1.1, for which ``1e-3`` and ``-.5`` are text. YAML 1.2, JSON and every reader take them for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_FLOAT_TAG = "tag:yaml.org,2002:float"
_FLOAT = re.compile(
    r"^[-+]?(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"
)
"""Floats of the core schema of YAML 1.2 (section 10.3.2), without those that are integers as well."""


class Loader(yaml.SafeLoader):
    """Safe YAML in which a key may appear only once."""


class Dumper(yaml.SafeDumper):
    """Safe YAML that quotes a text which `Loader` would take for a number."""


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    loader.flatten_mapping(node)
    seen: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a single value", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key '{key}' appears twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
for _language in (Loader, Dumper):
    _language.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+.0123456789"))
