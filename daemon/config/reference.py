"""Config -> pages for people: docs/config.md, and the merged configuration with where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, SecretStr

from daemon.config import schema
from daemon.config.read import HIDDEN, Reading
from daemon.config.tree import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config.tree import KeyPath

_HEAD = """\
# Configuration

Made by `bmsd config --markdown` from `daemon/config/`; do not edit by hand.

`bmsd` reads the file named by `--config`, else by `$BMSD_CONFIG`, else `./config.yaml`, else
`/etc/bmsd/config.yaml`; with none of them it runs on the defaults below. Later ones win: the file, then
credentials (`$CREDENTIALS_DIRECTORY/mqtt_password`, `influx_token`, `http_token`), then
`BMSD_<SECTION>__<KEY>_FILE` for secrets, then `BMSD_<SECTION>__<KEY>` (lists and mappings as JSON or YAML). A
wrong key, type, unit or range stops the start with exit status 2, and all faults are told at once.
`bmsd config --check` looks without starting; `bmsd config` prints the merged configuration and where each value
came from.
"""


def markdown() -> str:
    """Write docs/config.md: every key with its default, what is allowed and what it does."""
    parts = [_HEAD]
    for path, node in _sections():
        title = f"`{dotted(path).replace('.[]', '[]')}`" if path else "Top level"
        parts.append(f"\n## {title}\n\n{node['description']}\n\n{_table(path, node)}")
    return "".join(parts)


def merged(reading: Reading) -> str:
    """Write the merged configuration as YAML, each line with its origin; secrets as ***."""
    lines = list(_lines(reading, reading.config, (), 0))
    width = min(60, max(len(text) for text, _ in lines))
    return "".join(f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines)


def _sections() -> Iterator[tuple[KeyPath, schema.Node]]:
    """Walk all headings; `cells.packs` is one, though its items are a list."""
    root = schema.node_at(())
    assert root is not None
    waiting: list[tuple[KeyPath, schema.Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop(0)
        yield path, node
        inner = []
        for name in schema.keys(node):
            child = schema.node_at((*path, name)) or {}
            if schema.is_section(child):
                inner.append(((*path, name), child))
            elif item := schema.node_at((*path, name, 0)):
                inner.append(((*path, name, "[]"), item))
        waiting = inner + waiting


def _table(path: KeyPath, node: schema.Node) -> str:
    rows = ["| key | default | allowed | what it does |", "|---|---|---|---|"]
    for name in schema.keys(node):
        child = schema.node_at((*(0 if p == "[]" else p for p in path), name)) or {}
        if schema.is_section(child):
            continue
        cells = (f"`{name}`", _default(name, child, node), schema.allowed(child), child["description"])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _default(name: str, child: schema.Node, parent: schema.Node) -> str:
    if name in parent.get("required", ()):
        return "required"
    if child.get("type") == "array":
        return "one rule for all packs: `generic-nmc`"
    return "empty" if child.get("default") is None else f"`{_scalar(child['default'])}`"


def _lines(reading: Reading, section: BaseModel, path: KeyPath, depth: int) -> Iterator[tuple[str, str]]:
    """Yield (text, origin) for each line of YAML."""
    indent = "  " * depth
    for name in type(section).model_fields:
        value, here = getattr(section, name), (*path, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:", ""
            yield from _lines(reading, value, here, depth + 1)
        elif isinstance(value, list):
            yield f"{indent}{name}:", "" if value else reading.origin(here)
            for position, item in enumerate(value):
                first, *rest = _lines(reading, item, (*here, position), depth + 2)
                yield f"{indent}  - {first[0].lstrip()}", first[1]
                yield from rest
        else:
            yield f"{indent}{name}: {_scalar(value)}", reading.origin(here)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return f'"{HIDDEN}"'
    plain = value if isinstance(value, bool | int | float) else str(value)
    return yaml.safe_dump(plain, width=1_000).removesuffix("\n").removesuffix("\n...")
