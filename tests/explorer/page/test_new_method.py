"""A new method: its function and record, and one line of METHODS, and it is everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_method_more_is_in_every_view_and_endpoint():
    command = [sys.executable, Path(__file__).with_name("new_method.py")]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    values, *refused = found.pop("endpoint")
    assert found == {
        "words": ["Corner", "Corner"],  # it has none of its own here
        "controls": ["Slider", "Dropdown"],
        "slider": [1, 5, 1],
        "offered": ["compare-map-a", "compare-map-b", "truth-methods"],
        "chosen": {"size": 5, "shape": "round"},  # the nearest that the page offers
        "missing": "corner",
        "board": ["corner", "random", "sobel"],
    }
    assert values == [2.0, 1.0]
    assert "corner would run the model 6 times" in refused[0]
    assert "size must be a whole number from 1 to 9, got 10" in refused[1]
    assert "corner has no choice colour; its choices are size, shape" in refused[2]
