"""deploy/systemd/bmsd.service: systemd finds nothing wrong with it, and little that it leaves open."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.service.programs import needs

pytestmark = pytest.mark.service
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "bmsd.service"
EXPOSURE_MAX = 2.0


@pytest.fixture
def analyze(tmp_path):
    """systemd-analyze on the unit, its program replaced by one that is there."""
    program = needs("systemd-analyze", "systemd")
    unit = tmp_path / "bmsd.service"
    unit.write_text(UNIT.read_text().replace("/opt/bmsd/bin/bmsd", "/bin/true"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words, str(unit)], capture_output=True, text=True, timeout=60, check=False)

    return run


def test_the_unit_is_sound(analyze):
    done = analyze("verify")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_leaves_little_open(analyze):
    done = analyze("security", "--offline=true")
    exposure = re.search(r"Overall exposure level for bmsd.service: ([0-9.]+)", done.stdout)
    assert exposure, done.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX
