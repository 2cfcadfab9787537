"""`bmsd demo`, as a stranger starts it."""

import subprocess
import sys

import pytest

from tests.service.running import ROOT

pytestmark = pytest.mark.service


@pytest.mark.timeout(170)
def test_the_demo_estimates_every_cell_and_ends_by_itself():
    words = [sys.executable, "-m", "daemon.cli", "demo", "--seconds", "12", "--cells", "4", "--packs", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "4 of 4" in done.stdout
    assert "latency" in done.stdout


def test_a_demo_that_makes_no_sense_is_refused():
    words = [sys.executable, "-m", "daemon.cli", "demo", "--cells", "2", "--packs", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert "--packs" in done.stderr
