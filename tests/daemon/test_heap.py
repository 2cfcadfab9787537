"""daemon/heap.py: threads share arenas."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from daemon.heap import ARENAS

PROGRAM = """
import ctypes, sys, threading
from daemon.heap import keep_few_arenas
if sys.argv[1] == "few":
    keep_few_arenas()
together = threading.Barrier(9)
def work():
    together.wait()
    kept = [bytearray(5_000) for _ in range(200)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
together.wait()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: it has no arenas to bound")
def test_many_threads_have_few_arenas():
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
        return done.stderr.count("Arena ")

    assert arenas("few") <= ARENAS < arenas("as they come")
