"""The stand-in device stays out of the ordinary test process, and each of its tests still says what came of it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.other_device import other_device

ROOT = Path(__file__).parents[1]
CASES = """
import pytest

pytestmark = pytest.mark.other_device


def test_right():
    from tests.own_process import is_own_process
    assert is_own_process()


@pytest.mark.parametrize("value", [1, 2])
def test_wrong(value):
    assert value == 1, "two is not one"


def test_skipped():
    pytest.skip("for a reason")
"""


def test_this_process_never_registers_the_device():
    with pytest.raises(AssertionError, match="marked other_device"), other_device():
        pass
    assert torch._C._get_privateuse1_backend_name() == "privateuseone"


@pytest.mark.parametrize("more", [[], ["-k", "right"]])
def test_each_case_reports_its_own_result(more):
    file = ROOT / "tests" / "test_made_by_test_own_process.py"
    file.write_text(CASES, "utf-8")
    try:
        options = "addopts=-q -ra --strict-markers --import-mode=importlib"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", options, str(file), *more]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    finally:
        file.unlink()
    if more:
        assert "1 passed, 3 deselected" in said, said
        return
    assert "1 failed, 2 passed, 1 skipped" in said, said
    assert "two is not one" in said and "for a reason" in said, said
