"""`bmsd run` and `bmsd config`: what is refused before anything starts. (The service itself: tests/service/.)"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from daemon.cli import main
from tests.daemon.counting import write_cell_type


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell_type = write_cell_type(tmp_path / "counted")

    def write(text: str) -> str:
        path = tmp_path / "c.yaml"
        path.write_text(text.replace("COUNTED", cell_type))
        return str(path)

    return write


GOOD = "cells: {packs: [{pattern: '*', cell_type: COUNTED}]}\n"


def test_a_wrong_configuration_is_refused_with_status_2_and_nothing_is_made(config, capsys, tmp_path):
    assert main(["run", "--config", config(GOOD + "mqtt: {prot: 1}\n")]) == 2
    assert "mqtt.prot: unknown key; did you mean `port`?" in capsys.readouterr().err
    assert main(["run", "--config", config("cells: {packs: [{pattern: '*', cell_type: no-such-type}]}")]) == 2
    assert "cells.packs.0.cell_type" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_made_is_refused(config, capsys, tmp_path):
    (tmp_path / "state").write_text("a file")
    assert main(["run", "--config", config(GOOD)]) == 1
    assert "service.state_directory" in capsys.readouterr().err


def test_check_says_ok_or_what_is_wrong(config, capsys):
    assert main(["config", "--check", config(GOOD)]) == 0
    assert capsys.readouterr().out.startswith("ok: ")
    assert main(["config", "--check", config("grid: {rest_c_rate: 0}")]) == 2
    assert "grid.rest_c_rate: `0` is not allowed; allowed: number, above 0, at most 0.5" in capsys.readouterr().err


def test_the_schema_is_json_schema(capsys):
    assert main(["config", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"].keys() >= {"mqtt", "cells", "grid", "publish", "sinks", "journal", "service"}


def test_asking_for_arguments_costs_no_heavy_import():
    code = (
        "import argparse, sys; from daemon.cli import config, export, run\n"
        "for m in (config, export, run): m.add_arguments(argparse.ArgumentParser())\n"
        "print(*({'numpy', 'pydantic', 'paho', 'polars', 'torch', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
