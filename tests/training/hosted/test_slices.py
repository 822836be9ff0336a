"""Training in slices on a stand-in for ZeroGPU (`zero_gpu.py`): the same curve, and a state that stays honest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.config import ConfigError, RunConfig
from training.hosted.slices import START, slices_needed
from training.loop.preflight import Preflight

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="ZeroGPU forks, which Windows cannot")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VIT_EXPLORER_DATA": str(folder / "data")}
    environment = os.environ | environment
    command = [sys.executable, str(Path(__file__).with_name("zero_gpu.py")), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_curve_is_that_of_an_uninterrupted_run_to_the_last_bit(found):
    assert found["whole"] and [entry[:2] for entry in found["whole"]].count(["test", 12]) == 1
    assert found["sliced"]["curve"] == found["whole"]


def test_each_slice_is_a_daemonic_process_of_its_own_with_the_seconds_asked_for(found):
    sliced = found["sliced"]
    assert sliced["others"] == len(sliced["asked"]) == sliced["told"][-1]["slice"] == 3
    assert set(sliced["asked"]) == {60}


def test_the_run_is_running_from_the_first_slice_to_the_last_and_then_finished(found):
    sliced = found["sliced"]
    *before, end = sliced["told"]
    assert {message["state_on_disk"] for message in before} == {"running"}
    assert (end["phase"], end["state"], end["state_on_disk"]) == ("ended", "finished", "finished")
    phases = [message["phase"] for message in before if message["phase"] != "training"]
    assert phases == ["loading", "waiting", "waiting", "waiting"]
    steps = [m["event"]["step"] for m in before if m["event"] and m["event"]["split"] == "train"]
    assert steps == list(range(1, 13)), "every step is told once"


def test_what_a_page_shows_is_on_disk(found):
    sliced = found["sliced"]
    assert sliced["results"] and sliced["data"]
    assert sliced["log"].count("--- attempt 1, slice") == 3 and "step 12 " in sliced["log"]


def test_a_slice_that_is_killed_goes_back_to_its_last_checkpoint(found):
    killed = found["killed"]
    assert killed["curve"] == found["whole"] and killed["told"][-1]["state"] == "finished"
    assert killed["log"].count("this slice was ended from outside (GPU task aborted)") == 2


def test_a_visitor_who_leaves_leaves_a_stopped_run_with_a_checkpoint(found):
    left = found["left"]
    assert left["state"] == "stopped" and "the page was left" in left["reason"] and left["process"]
    assert left["last"] >= 3, "the slice wrote its checkpoint first"
    assert left["end"]["state"] == "finished" and left["curve"] == found["whole"] and left["attempt"] == 2


def test_when_the_quota_ends_the_run_is_stopped_and_another_visit_goes_on(found):
    quota = found["quota"]
    assert quota["state"] == quota["end"]["state"] == "stopped" and quota["last"] == 8
    assert "no GPU for it now (You have exceeded your GPU quota); resume it later" in quota["end"]["reason"]
    assert quota["after"] == "finished" and quota["curve"] == found["whole"]


def test_a_stop_is_heeded_and_never_ends_the_process_that_serves_the_page(found):
    stopped = found["stopped"]
    assert stopped["state"] == stopped["end"]["state"] == "stopped" and 2 <= stopped["last"] < 12
    assert found["pressed"] == [False, False, False]


def test_two_visitors_cannot_train_one_run_at_once(found):
    assert "is running already" in found["twice"]


def test_slices_that_bring_it_no_further_are_given_up(found):
    short = found["short"]
    assert short["state"] == "stopped" and short["slices"] == 3
    assert "3 slices of 60 s brought it no further; choose longer slices" in short["end"]["reason"]


def test_what_is_wrong_with_a_run_arrives_with_its_reason(found):
    assert found["broken"]["state"] == "failed"
    assert "a batch of 4096 is larger than the training set" in found["broken"]["end"]["reason"]
    assert found["nowhere"]["end"]["state"] == "failed" and "/nowhere" in found["nowhere"]["end"]["reason"]
    assert found["nowhere"]["asked"] == [], "and costs no GPU time where that is known before"


def test_a_sweep_is_sliced_too(found):
    sweep = found["sweep"]
    assert sweep["end"]["state"] == "finished" and sweep["last"] == 4
    assert sweep["told"]["best"] in (1e-3, 1e-2) and len(sweep["told"]["accuracies"]) == 2


def test_without_zero_gpu_the_function_itself_is_called(found):
    phase, curve = found["plain"]
    assert phase == "ended" and curve == found["whole"]


# -- the cost


def flight(**more):
    told = {
        "parameters": 1,
        "trainable_parameters": 1,
        "pictures": 1000,
        "held_out": 0,
        "classes": 2,
        "resolution": (96, 96),
        "grid": (12, 12),
        "steps": 1000,
        "steps_in_budget": 1000,
        "epochs": 100.0,
        "images_per_second": 1000.0,
        "seconds": 100.0,
        "peak_bytes": 1,
        "batch": 100,
        "batch_parts": 1,
        "device": "cuda:0",
    }
    return Preflight(**told | more)


CONFIG = RunConfig(steps=1000, batch=100)


def test_the_cost_counts_training_and_every_slices_start():
    assert slices_needed(flight(), CONFIG, 60) == (3, 100 + 3 * START)  # 60 s: 12 in reserve, 10 to start, 38 train
    assert slices_needed(flight(), CONFIG, 120) == (2, 100 + 2 * START)
    assert slices_needed(flight(seconds=0.5), CONFIG) == (1, 0.5 + START)


def test_the_cost_counts_evaluations_and_trials():
    evaluated = flight(held_out=300)  # every epoch of 10 steps: 100 times 300 / 3000 s
    assert slices_needed(evaluated, CONFIG)[1] == pytest.approx(110 + 3 * START)
    assert slices_needed(evaluated, CONFIG.having(eval_every=500))[1] == pytest.approx(100.2 + 3 * START)
    assert slices_needed(flight(), CONFIG, 60, trials=4) == (14, 500 + 14 * START)


def test_a_slice_that_is_all_start_is_refused():
    with pytest.raises(ConfigError, match=r"a slice of 12 s leaves no time to train; give it more than 12\.5"):
        slices_needed(flight(), CONFIG, 12)
