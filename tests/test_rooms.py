"""Which room may import what: DESIGN's table, held against the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "estimators": ("daemon", "simulators", "socket", "asyncio", "time", "paho", "aiomqtt", "sqlite3"),
    "simulators": ("estimators", "torch"),
}
ALLOWED = {
    "estimators/cross_stitch/train.py": {"time"},  # says how long training still takes
}
HEAVY = ("torch", "numpy", "scipy", "polars", "pydantic", "paho", "aiomqtt", "rich", "yaml", "influxdb_client")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        roots = {n.split(".")[0] for n in imports(path)} - ALLOWED.get(place, set())
        assert not roots & set(FORBIDDEN[room]), place


def test_simulators_know_nothing_of_the_daemon_but_the_wire():
    for path in sorted((ROOT / "simulators").rglob("*.py")):
        ours = {n for n in imports(path) if n.split(".")[0] == "daemon"}
        assert all(n in ("daemon", "daemon.wire") or n.startswith("daemon.wire.") for n in ours), path.name


def test_help_needs_no_heavy_import():
    code = "import sys; from daemon.cli import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not loaded & set(HEAVY)


def test_every_command_in_the_overview_exists_and_every_command_is_in_it():
    from daemon.cli import COMMANDS

    modules = {p.stem for p in (ROOT / "daemon" / "cli").glob("*.py") if not p.stem.startswith("_")}
    assert modules == set(COMMANDS)


def test_a_misspelt_command_is_met_with_the_right_one():
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "trian"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "did you mean `train`" in done.stderr
