"""Freed memory stays in the process: measured in one of its own, since it cannot be undone."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import json, resource, sys
import torch
from explorer.session.allocator import keep_freed_memory
torch.set_num_threads(1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        activations = [torch.zeros(2**20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
kept = keep_freed_memory()
faults()
print(json.dumps([kept, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_memory_of_the_last_pass_is_used_again():
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", COUNT], cwd=root, capture_output=True, text=True, check=True)
    kept, faults = json.loads(found.stdout)
    assert kept is True
    assert faults < 8 * 1024, "10 passes over 32 MiB: 81,920 page faults where each fetches its memory anew"


THREADS = """
import json, threading
import torch
from benchmarks.memory import MIB, resident_bytes
from explorer.session.allocator import keep_freed_memory
torch.set_num_threads(1)
keep_freed_memory()
before, release, threads = resident_bytes("VmRSS"), threading.Event(), []
for _ in range(12):
    done = threading.Event()
    def work(done=done):
        activations = [torch.ones(2**20) for _ in range(24)]
        del activations
        done.set()
        release.wait(60)
    threads.append(threading.Thread(target=work))
    threads[-1].start()
    assert done.wait(60)
after = resident_bytes("VmRSS")
release.set()
print(json.dumps((after - before) / MIB))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_threads_that_worked_one_after_the_other_do_not_each_keep_what_they_freed():
    """A server's memory grew by a gigabyte with the number of threads that had answered somebody."""
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", THREADS], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) < 12 * 96 / 2, "each of 12 threads had 96 MiB"


def test_other_systems_are_left_alone(monkeypatch):
    from explorer.session import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("there is no glibc to talk to"))
    assert allocator.keep_freed_memory() is False
