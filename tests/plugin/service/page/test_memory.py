"""Memory of pictures goes back to the system when it is freed."""

import subprocess
import sys

import pytest

KEPT = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sorce.plugin.service.page.memory import give_back_freed

THREADS, BLOCK = 8, 20 << 20
together = Barrier(THREADS)

def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096

def use(_):
    for _ in range(3):
        pixels = bytearray(BLOCK)
        together.wait()
        del pixels

give_back_freed()
with ThreadPoolExecutor(THREADS) as pool:
    before = resident()
    list(pool.map(use, range(THREADS)))
    print(max(0, resident() - before) // BLOCK)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps the memory")
def test_threads_that_make_pictures_give_their_memory_back() -> None:
    # Without `give_back_freed` it was 8 blocks.
    assert subprocess.run([sys.executable, "-c", KEPT], check=True, capture_output=True, text=True).stdout == "0\n"
