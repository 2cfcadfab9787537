"""config.yaml + credentials + environment -> Config, or one error that names every fault.

Later ones win: defaults, the file, credentials ($CREDENTIALS_DIRECTORY/mqtt_password, influx_token,
http_token), BMSD_<SECTION>__<KEY>_FILE (secrets), BMSD_<SECTION>__<KEY>.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from daemon.config import schema
from daemon.config.root import Config
from daemon.config.tree import Fault, KeyPath, Tree, dotted, parse_yaml
from daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

CREDENTIALS: dict[str, KeyPath] = {
    "mqtt_password": ("mqtt", "password"),
    "influx_token": ("sinks", "influx", "token"),
    "http_token": ("http", "token"),
}
STANDARD_PLACES = (Path("config.yaml"), Path("/etc/bmsd/config.yaml"))
OTHER_VARIABLES = {"BMSD_CONFIG", "BMSD_DATA"}  # the file to read; where tests find recorded data
KUBERNETES = re.compile(r"BMSD_(SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)")  # set in every pod beside a service "bmsd"
HIDDEN = "***"


@dataclass(frozen=True)
class Reading:
    """A configuration, and where each of its values came from."""

    config: Config
    origins: dict[KeyPath, str]

    def origin(self, path: KeyPath) -> str:
        """Name the place that a value came from: "config.yaml:12", "BMSD_MQTT__PORT" or "default"."""
        return self.origins.get(path, "default")


def read_config(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file (or the one in a standard place, if any) and all that lies over it. Raises ConfigError."""
    return read(path, environ).config


def read(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Reading:
    """Do as `read_config`, and tell where each value came from."""
    path = path or standard_place(environ)
    tree = _file(path) if path else Tree()
    _credentials(tree, environ)
    _variables(tree, environ)
    config, faults = _check(tree)
    if faults := tree.faults + faults:
        raise _refuse(faults)
    assert config is not None
    return Reading(config, tree.origins)


def standard_place(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find the file that is read where none is named: $BMSD_CONFIG, ./config.yaml, /etc/bmsd/config.yaml."""
    if named := environ.get("BMSD_CONFIG"):
        return Path(named)
    return next((p for p in STANDARD_PLACES if p.is_file()), None)


def check_cell_types(reading: Reading) -> None:
    """Load every cell type that is named. Raises ConfigError naming the keys."""
    from estimators.cell_type import CellType  # numpy: only where it is needed

    cells = reading.config.cells
    named: list[tuple[KeyPath, str | None]] = [
        (("cells", "packs", i, "cell_type"), rule.cell_type) for i, rule in enumerate(cells.packs)
    ]
    faults = []
    for path, name in [*named, (("cells", "default_type"), cells.default_type)]:
        try:
            if name is not None:
                CellType.load(name)
        except (OSError, ValueError) as err:
            faults.append(Fault(reading.origin(path), f"{dotted(path)}: {err}"))
    if faults:
        raise _refuse(faults)


def _file(path: Path) -> Tree:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise ConfigError(
            f"cannot read the configuration: {err.strerror}", where=str(path), mend="name another with --config"
        ) from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"the configuration is not UTF-8: {err}", where=str(path)) from err
    return parse_yaml(text, str(path))


def _credentials(tree: Tree, environ: Mapping[str, str]) -> None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for name, path in CREDENTIALS.items() if folder else ():
        if (file := Path(str(folder)) / name).is_file():
            _lay_secret(tree, path, file, f"credential {name}")


def _variables(tree: Tree, environ: Mapping[str, str]) -> None:
    """Lay BMSD_* over the tree: first the files of secrets, then plain values."""
    names = [n for n in environ if n.startswith("BMSD_") and n not in OTHER_VARIABLES and not KUBERNETES.fullmatch(n)]
    for name in sorted(names, key=lambda n: (not n.endswith("_FILE"), n.count("__"), n)):
        path: KeyPath = tuple(name.removeprefix("BMSD_").lower().split("__"))
        if node := schema.node_at(path):
            _lay_variable(tree, path, node, name, environ[name])
            continue
        secret = (*path[:-1], str(path[-1]).removesuffix("_file"))
        if name.endswith("_FILE") and schema.is_secret(schema.node_at(secret) or {}):
            _lay_secret(tree, secret, Path(environ[name]), name)
        else:
            tree.faults.append(Fault(name, f"no such setting; {_mend_variable(name)}"))


def _lay_variable(tree: Tree, path: KeyPath, node: schema.Node, name: str, text: str) -> None:
    value: object = text
    if schema.is_section(node) or node.get("type") == "array":
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as err:
            tree.faults.append(Fault(name, f"{dotted(path)}: neither JSON nor YAML: {err}"))
            return
    elif not text and node.get("nullable"):
        value = None
    _lay(tree, path, value, name)


def _lay_secret(tree: Tree, path: KeyPath, file: Path, origin: str) -> None:
    try:
        _lay(tree, path, file.read_text(encoding="utf-8").strip("\r\n"), origin)
    except (OSError, UnicodeDecodeError) as err:
        tree.faults.append(Fault(origin, f"{dotted(path)}: cannot read {file}: {err}"))


def _lay(tree: Tree, path: KeyPath, value: object, origin: str) -> None:
    """Put a value into the tree; a mapping is laid key by key over what is there."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _lay(tree, (*path, str(key)), item, origin)
        return
    place = tree.values
    for part in path[:-1]:
        if place.get(str(part)) is None:
            place[str(part)] = {}
        place = place[str(part)]
        if not isinstance(place, dict):
            return  # what the file says there is no mapping: that fault is told by the check
    place[str(path[-1])] = value
    for stale in [p for p in tree.origins if p[: len(path)] == path]:
        del tree.origins[stale]
    _mark(tree, path, value, origin)


def _mark(tree: Tree, path: KeyPath, value: object, origin: str) -> None:
    tree.origins[path] = origin
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _mark(tree, (*path, key), item, origin)


def _check(tree: Tree) -> tuple[Config | None, list[Fault]]:
    try:
        return Config.model_validate(tree.values), []
    except ValidationError as err:
        return None, [_fault(tree, error) for error in err.errors(include_url=False)]


def _fault(tree: Tree, error: ErrorDetails) -> Fault:
    """Put pydantic's finding into our words: where it stands, what is wrong, what is allowed."""
    path: KeyPath = tuple(error["loc"])
    node = schema.node_at(path) or {}
    if error["type"] == "extra_forbidden":
        what = f"unknown key; {schema.mend_unknown(path)}"
    elif error["type"] == "missing":
        what = f"is missing; allowed: {schema.allowed(node)}"
    elif error["type"] == "value_error" and schema.is_section(node):
        what = str(error["ctx"]["error"])
    else:
        shown = HIDDEN if schema.is_secret(node) else _short(error["input"])
        hint = f" ({error['ctx']['error']})" if error["type"] == "value_error" else ""
        what = f"{shown} is not allowed{hint}; allowed: {schema.allowed(node)}"
    return Fault(_nearest(tree.origins, path) or "", f"{dotted(path)}: {what}")


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "empty" if value is None else f"`{text[:60]}`"


def _nearest(origins: Mapping[KeyPath, str], path: KeyPath) -> str | None:
    """Find the origin of a value or, where it has none of its own, of what contains it."""
    return next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), None)


def _mend_variable(name: str) -> str:
    known = ["BMSD_" + "__".join(str(part).upper() for part in path) for path, _ in schema.leaves()]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "names are BMSD_<SECTION>__<KEY>, as in BMSD_MQTT__HOST"


def _refuse(faults: list[Fault]) -> ConfigError:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [f"  {fault.where + ': ' if fault.where else ''}{fault.what}" for fault in faults]
    return ConfigError(
        "\n".join([f"{count} in the configuration", *lines]),
        mend="`bmsd config --markdown` lists every key, what is allowed and what it does",
    )
