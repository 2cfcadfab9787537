"""The JSON Schema of the configuration, walked by key path: what stands where, and what is allowed there."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from daemon.config.root import Config
from daemon.config.tree import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config.tree import KeyPath

Node = dict[str, Any]

_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
_BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))


@cache
def schema() -> Node:
    """Make the JSON Schema (2020-12) of config.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def node_at(path: KeyPath) -> Node | None:
    """Find what stands at a path; None where nothing does."""
    node = _resolve(schema())
    for part in path:
        child = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if child is None:
            return None
        node = _resolve(child)
    return node


def keys(node: Node) -> list[str]:
    """Name the keys of a section; none where it is a value."""
    return list(node.get("properties", {}))


def is_section(node: Node) -> bool:
    """Tell a heading from a value."""
    return "properties" in node


def is_secret(node: Node) -> bool:
    """Tell whether the value may never be shown."""
    return node.get("format") == "password"


def leaves(node: Node | None = None, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Walk all values in the order of the file; a list of sections counts as one value."""
    node = _resolve(schema()) if node is None else node
    for name, child in node.get("properties", {}).items():
        child_node = _resolve(child)
        if is_section(child_node):
            yield from leaves(child_node, (*path, name))
        else:
            yield (*path, name), child_node


def allowed(node: Node) -> str:
    """Say what may stand here.

    >>> allowed({"type": "integer", "minimum": 1, "maximum": 65535})
    'whole number, at least 1, at most 65535'
    """
    if is_section(node):
        return "a mapping of " + ", ".join(keys(node))
    if node.get("type") == "array":
        return "a list, each item " + allowed(_resolve(node["items"]))
    if values := node.get("enum"):
        text = " | ".join(str(v) for v in values)
    else:
        text = ", ".join([_TYPES[node["type"]], *(f"{word} {node[k]:.12g}" for k, word in _BOUNDS if k in node)])
        text += ", not empty" if node.get("minLength") else ""
        text += f" matching `{node['pattern']}`" if "pattern" in node else ""
    return f"{text}, or empty" if node.get("nullable") else text


def mend_unknown(path: KeyPath) -> str:
    """Say which key was probably meant."""
    name, parent = str(path[-1]), node_at(path[:-1]) or {}
    if near := difflib.get_close_matches(name, keys(parent), n=1, cutoff=0.6):
        return f"did you mean `{near[0]}`?"
    if elsewhere := [dotted(p) for p, _ in leaves() if p[-1] == name]:
        return f"did you mean `{elsewhere[0]}`?"
    return f"known here: {', '.join(keys(parent))}"


def _resolve(node: Node) -> Node:
    """Follow a reference and fold `anyOf: [X, null]` into X that may be empty."""
    if options := node.get("anyOf"):
        inner = next(o for o in options if o.get("type") != "null")
        return {**_resolve(inner), **{k: v for k, v in node.items() if k != "anyOf"}, "nullable": True}
    if reference := node.get("$ref"):
        target: Node = schema()["$defs"][reference.rpartition("/")[2]]
        return {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return node
