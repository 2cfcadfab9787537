"""YAML text -> plain mappings and lists, with the line that each key stands on, and all faults of form.

A key's path is a tuple of names and list positions: ("cells", "packs", 0, "clock").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]
VALUES_MAX = 100_000  # keys and items; a file that repeats itself by aliases can have any number


class Fault(NamedTuple):
    """One thing that is wrong, in a person's words."""

    where: str  # "config.yaml:12", "BMSD_MQTT__PORT"
    what: str


@dataclass
class Tree:
    """What one source says: nested mappings and lists, and where each value stands."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def dotted(path: KeyPath) -> str:
    """Spell a path as a person does.

    >>> dotted(("cells", "packs", 0, "clock"))
    'cells.packs.0.clock'
    """
    return ".".join(str(part) for part in path)


def parse_yaml(text: str, source: str) -> Tree:
    """Read a YAML mapping; `source` (a file's name) and the line make each origin."""
    tree = Tree()
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return tree  # an empty file: everything is as it comes
        if not isinstance(root, yaml.MappingNode):
            tree.faults.append(Fault(f"{source}:{_line(root)}", "not a mapping; write keys as `name: value`"))
            return tree
        tree.values = _mapping(loader, root, (), source, tree)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        tree.faults.append(Fault(f"{source}:{mark.line + 1}" if mark else source, _explain(err)))
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        tree.faults.append(Fault(source, f"not readable as YAML: {err}"))
    finally:
        if loader is not None:
            loader.dispose()
    return tree


def _plain(loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath, source: str, tree: Tree) -> object:
    """Turn a node into plain data, noting the line of each key and every key that stands there twice."""
    if len(tree.origins) > VALUES_MAX:
        raise yaml.YAMLError(f"more than {VALUES_MAX:,} values")
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            tree.origins[*path, position] = f"{source}:{_line(item)}"
            items.append(_plain(loader, item, (*path, position), source, tree))
        return items
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, source, tree)
    return loader.construct_object(node)


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, path: KeyPath, source: str, tree: Tree) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, here = str(key_node.value), f"{source}:{_line(key_node)}"
        if key in values:
            first = tree.origins[*path, key].rpartition(":")[2]
            tree.faults.append(Fault(here, f"{dotted((*path, key))}: written twice, first in line {first}"))
        tree.origins[*path, key] = here
        values[key] = _plain(loader, value_node, (*path, key), source, tree)
    return values


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _explain(err: yaml.MarkedYAMLError) -> str:
    if "'\\t'" in str(err.problem):
        return "a tab; YAML is indented with spaces"
    return f"not readable as YAML: {err.problem or err.context}"
