"""What people read, held against the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from daemon import errors, wire
from daemon.cli import COMMANDS
from daemon.rows import Flag
from daemon.wire import STATE_COLUMNS, Reject

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
WIRE, ARCHITECTURE, ERRORS = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("wire.md", "architecture.md", "errors.md")
)
STRUCTS = {  # heading of docs/wire.md -> what it describes
    "One cell": wire.Sample,
    "Many cells in one frame": wire.Frame,
    "State of a cell": wire.State,
    "State of a pack": wire.PackState,
    "All cells of a pack": wire.CellsFrame,
    "Events": wire.Event,
    "Health reports": wire.Health,
    "Scenarios": wire.Scenario,
    "Metrics": wire.Metrics,
}
PACKAGES = ("daemon", "estimators", "simulators")


def section(text: str, heading: str) -> str:
    """Cut out what stands under a heading, up to the next of its level."""
    level = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert level, f"no heading {heading}"
    rest = text[level.end() :]
    following = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def rows(text: str) -> dict[str, list[str]]:
    """Read the rows of tables whose first column is code: its text -> the other columns."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            found[cells[0].strip(" `")] = cells[1:]
    return found


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def structs() -> set[type]:
    public = {v for n, v in vars(wire).items() if isinstance(v, type) and not n.startswith("_")}
    return {v for v in public if issubclass(v, msgspec.Struct) and v.__module__ == wire.__name__}


def test_every_struct_of_the_wire_has_its_section():
    assert structs() == set(STRUCTS.values())


@pytest.mark.parametrize("heading", STRUCTS)
def test_a_section_names_every_field_of_its_struct_and_no_other(heading):
    table = section(WIRE, heading).partition("| field |")[2].partition("\n\n")[0]
    assert list(rows(table)) != []
    assert set(rows(table)) == set(STRUCTS[heading].__struct_fields__)


@pytest.mark.parametrize("heading", STRUCTS)
def test_an_example_is_what_the_code_makes_or_takes(heading):
    (example,) = re.findall(r"```json\n(.*?)\n```", section(WIRE, heading), re.DOTALL)
    struct = STRUCTS[heading]
    body = msgspec.json.decode(example, type=struct)
    assert set(json.loads(example)) <= set(struct.__struct_fields__)
    if struct in (wire.Sample, wire.Frame):
        return
    assert set(json.loads(example)) == set(json.loads(wire.encode(body)))


@pytest.mark.parametrize(("heading", "struct"), [(h, s) for h, s in STRUCTS.items() if s in (wire.Sample, wire.Frame)])
def test_the_ranges_that_are_checked_are_the_ranges_that_are_told(heading, struct):
    told = rows(section(WIRE, heading))
    checked = {n: limits(hint) for n, hint in get_type_hints(struct, include_extras=True).items() if limits(hint)}
    assert set(checked) >= {"voltage_volt", "current_ampere", "temperature_celsius", "unix_time_second"}
    for name, (low, high) in checked.items():
        assert told[name][1].startswith(f"{low:.12g} to {high:.12g}"), name


def limits(hint: object) -> tuple[float, float] | None:
    """Find the bounds of a number, however deep in lists and options it stands."""
    for meta in getattr(hint, "__metadata__", ()):
        return meta.ge, meta.le
    return next((found for arg in get_args(hint) if (found := limits(arg))), None)


@pytest.mark.parametrize("column", STATE_COLUMNS, ids=lambda c: c.name)
def test_a_states_numbers_are_told_with_unit_and_range(column):
    unit, allowed, _ = rows(section(WIRE, "State of a cell"))[column.name]
    assert (unit, allowed) == (column.unit, f"{column.low:g} to {column.high:g}")


def test_every_reason_of_a_rejection_is_told_with_what_to_do():
    told = rows(section(WIRE, "Why a message was rejected"))
    assert set(told) == {str(reason) for reason in Reject}
    assert all(mend for _, mend in told.values())


def test_every_flag_is_told_with_what_to_do():
    told = rows(section(WIRE, "Flags"))
    assert set(told) == {name for flag in Flag for name in Flag.names(flag)}
    assert all(mend for _, mend in told.values())


def test_every_topic_is_told_as_the_code_spells_it():
    told = set(rows(WIRE.partition("## One cell")[0]))
    assert told == {
        wire.telemetry_topic("bms", "<pack>", "<cell>"),
        wire.telemetry_topic("bms", "<pack>"),
        wire.state_topic("bms", "<pack>", "<cell>"),
        wire.state_topic("bms", "<pack>"),
        wire.cells_topic("bms", "<pack>"),
        wire.event_topic("bms", "<pack>", "<cell>"),
        wire.health_topic("bms", "<pack>", "<cell>", "<check>"),
        wire.status_topic("bms"),
        wire.status_topic("bms") + "/metrics",
    }


def test_every_error_has_its_heading():
    codes = {e.code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.BmsdError)}
    assert set(re.findall(r"^## (.+)$", ERRORS, re.MULTILINE)) == codes


@pytest.mark.parametrize("package", PACKAGES)
def test_architecture_names_every_module_and_no_other(package):
    modules = {p.name for p in (ROOT / package).glob("*.py") if p.name != "__init__.py"}
    folders = {f"{p.name}/" for p in (ROOT / package).iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert set(rows(section(ARCHITECTURE, f"`{package}/`"))) == modules | folders


def test_every_command_is_told():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in COMMANDS if f"bmsd {name}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_what_a_page_tells_to_run_exists(page):
    text = page.read_text(encoding="utf-8")
    code = " ".join(re.findall(r"`+[^`]+`+", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets
    assert set(re.findall(r"\bbmsd ([a-z]+)", code)) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_a_page_names_in_code_exist(page):
    place = r"(?:^|[\s`])((?:daemon|estimators|simulators|tests|deploy|benchmarks)/[\w/.-]*)"
    named = re.findall(place, page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name.rstrip(".")).exists()] == []
