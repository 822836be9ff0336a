"""`python -m training`: flags, plain errors, tables, and real runs on a few pictures in the foreground."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from training import __main__ as cli
from training.config import RunConfig
from training.runs.runs import Run, Runs

ROOT = Path(__file__).parents[2]
SMALL = ["--recipe", "scratch-tiny", "--width", "12", "--depth", "1", "--heads", "1", "--batch", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes by colour: 32 pictures to train on, 8 to test with."""
    root, dice = tmp_path_factory.mktemp("pictures"), random.Random(0)
    for split, count in (("train", 16), ("test", 4)):
        for name, channel in (("red", 0), ("blue", 2)):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                colour = [dice.randrange(100) for _ in range(3)]
                colour[channel] += 150
                Image.new("RGB", (32, 32), tuple(colour)).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture
def captured(monkeypatch):
    """The runs that would have been trained."""
    seen = []
    monkeypatch.setattr(cli, "_train", lambda run: seen.append(run) or 0)
    return seen


def command(*arguments, **choices):
    """A process of the command line. It is run from a folder with a `training` of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    whole, pipe = [sys.executable, "-P", "-m", "training", *map(str, arguments)], subprocess.PIPE
    return subprocess.Popen(whole, stdout=pipe, stderr=pipe, text=True, env=environment, **choices)


# -- flags


def test_every_field_is_a_flag(tmp_path, captured):
    typed = {
        "data": "cifar100", "model": "new:S/16", "width": "12", "depth": "2", "heads": "3", "patch_size": "8",
        "resolution": "96", "stages": "48:0.4,64:0.35", "pool": "mean-patches", "head_init": "random",
        "trainable": "2", "epochs": "3.5", "batch": "24", "accumulation": "3", "optimizer": "muon", "lr": "1e-3",
        "momentum": "0.5", "beta1": "0.8", "beta2": "0.95", "weight_decay": "0.1", "layer_decay": "0.75",
        "schedule": "linear", "warmup": "7", "clip": "2", "label_smoothing": "0.1", "mixup": "0.2", "cutmix": "0.3",
        "crop": "pad", "crop_scale": "0.5", "randaugment": "2", "randaugment_magnitude": "5", "color_jitter": "0.3",
        "downscale": "0.4", "erasing": "0.25", "dropout": "0.1", "drop_path": "0.2", "ema": "0.99",
        "precision": "bf16", "seed": "9",
        "device": "cuda:1", "workers": "2", "held_out": "0.3", "eval_every": "11", "patience": "4",
        "test_at": "1,2", "checkpoint_every": "13", "keep_every": "14", "log_every": "15",
    }  # fmt: skip
    switches = {"decay_all": True, "compile": True, "tensorboard": True, "flip": False}
    others = {"recipe", "steps", "minutes"}
    assert set(typed) | set(switches) | others == {field.name for field in fields(RunConfig)}
    flags = [part for name, text in typed.items() for part in ("--" + name.replace("_", "-"), text)]
    flags += [("--" if on else "--no-") + name.replace("_", "-") for name, on in switches.items()]
    assert cli.main(["run", "--recipe", "adamw", "--out", str(tmp_path / "run"), "--name", "all of it", *flags]) == 0
    (run,) = captured
    config = run.config.to_dict()
    assert run.name == "all of it" and config["recipe"] == "adamw" and config["steps"] is config["minutes"] is None
    assert {name: config[name] for name in switches} == switches
    assert config["stages"] == [[48, 0.4], [64, 0.35]] and config["test_at"] == [1, 2] and config["lr"] == 1e-3
    plain = set(typed) - {"stages", "test_at", "lr"}
    assert {name: str(config[name]) for name in plain} == {name: typed[name] for name in plain} | {"clip": "2.0"}


def test_the_recipe_holds_where_no_flag_is_given(tmp_path, captured):
    assert cli.main(["run", "--recipe", "scratch-tiny", "--steps", "3", "--out", str(tmp_path / "run")]) == 0
    config = captured[0].config
    assert (config.recipe, config.width, config.steps, config.flip) == ("scratch-tiny", 96, 3, False)
    assert cli.main(["run", "--data", "shapes", "--resolution", "none", "--out", str(tmp_path / "default")]) == 0
    assert captured[1].config.recipe == "adamw" and captured[1].config.resolution is None


def test_without_out_the_run_is_on_the_shelf(tmp_path, captured, monkeypatch):
    monkeypatch.setenv("VIT_EXPLORER_RUNS", str(tmp_path))
    assert cli.main(["run", "--recipe", "scratch-tiny", "--name", "mine"]) == 0
    assert Runs().list() == captured and captured[0].queued_since is None and captured[0].name == "mine"


def test_a_sweep_takes_the_recipes_rates_or_those_given(tmp_path, captured):
    assert cli.main(["sweep", "--recipe", "paper", "--out", str(tmp_path / "paper")]) == 0
    assert cli.main(["sweep", "--recipe", "adamw", "--rates", "0.01,1e-3,0.01", "--out", str(tmp_path / "given")]) == 0
    assert [run.sweep for run in captured] == [(0.001, 0.003, 0.01, 0.03), (0.001, 0.01)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--recipe", "papre"], "no recipe 'papre'; the recipes are paper, "),
        (["run", "--steps", "many"], "steps expects a whole number or none, got 'many'"),
        (["run", "--steps", "5", "--epochs", "2"], "exactly one of steps, epochs and minutes; got steps and epochs"),
        (["run", "--lr", "0"], "lr must be greater than 0"),
        (["run", "--lr", "nan"], "lr must be at least 0"),
        (["run", "--precision", "int8"], "precision must be one of fp32, bf16, fp16; got 'int8'"),
        (["run", "--data", "shapes", "--out", "{full}"], "is there already and not empty; choose another folder"),
        (["sweep", "--recipe", "scratch-tiny"], "has no learning rates to sweep; pass --rates 0.001,0.003,0.01"),
        (["sweep", "--data", "shapes", "--rates", "0.1,fast"], "lr expects a number, got 'fast'"),
        (["sweep", "--data", "shapes", "--rates", "0.1,1e9"], "lr must be at least 0"),
        (["resume", "nowhere"], "there is no run to resume in nowhere: run.json cannot be read: there is none"),
        (["resume", "{full}"], "there is no run to resume in"),
        (["export", "nowhere", "--to", "x"], "there is no run to export in nowhere: run.json cannot be read"),
        (["push", "nowhere", "--repo", "a/b"], "there is no run to push in nowhere: run.json cannot be read"),
        (["run"], "nothing says what to train: pass --data, or --recipe, or both"),
        (["run", "--steps", "5"], "pass --data, or --recipe"),
        (["sweep", "--rates", "0.1"], "pass --data, or --recipe"),
        (["job", "--push-to", "a/b", "--dry-run"], "pass --data, or --recipe"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_plain_line(tmp_path, monkeypatch, capsys, arguments, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main([part.format(full=tmp_path / "full") for part in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert words in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"], "nothing was begun"


def test_torchrun_needs_a_folder_that_all_processes_know(monkeypatch, capsys):
    monkeypatch.setattr(cli, "WORLD", 2)
    assert cli.main(["run", "--recipe", "scratch-tiny"]) == 2
    assert "under torchrun pass --out RUN_DIR" in capsys.readouterr().err


# -- list and export


def test_list_is_a_table(tmp_path, capsys, config):
    assert cli.main(["list", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path / 'none'}\n"
    runs = Runs(tmp_path)
    done = Run.create(tmp_path / "done", config)
    done.write_progress({"step": 100, "steps": 100})
    (done.path / "best.json").write_text('{"step": 50, "accuracy": 0.875}')
    done.end("finished")
    tested = Run.create(tmp_path / "tested", config)
    (tested.path / "results").mkdir()
    counts = {"classes": ["a", "b"], "confusion": [[73, 7], [0, 0]]}
    (tested.path / "results" / "test.json").write_text(json.dumps(counts))
    tested.end("stopped")
    runs.create(config)
    (runs.create(config, queue=False).path / "run.json").write_text("{")
    assert cli.main(["list", str(tmp_path)]) == 0
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["run", "state", "step", "accuracy", "age"]
    found = {row[0]: row[1:-2] for row in rows}
    assert found["done"] == ["finished", "100/100", "87.50%", "held", "out"]
    assert found["tested"] == ["stopped", "0", "91.25%", "test"]
    assert sorted(row[1] for row in rows) == ["failed", "finished", "queued", "stopped"]
    assert all(row[-1] in ("s", "min") for row in rows)


@pytest.fixture
def exported(tmp_path, config):
    run = Run.create(tmp_path / "run", config)
    for step in (10, 20):
        folder = run.path / "checkpoints" / f"step-{step:08d}"
        folder.mkdir(parents=True)
        for name in ("config.json", "model.safetensors", "preprocessor_config.json", "state.json", "state.safetensors"):
            (folder / name).write_text(f"{name} {step}")
    return run


def test_export_copies_the_model_and_its_card(tmp_path, exported, capsys):
    def export(name, *flags):
        code = cli.main(["export", str(exported.path), "--to", str(tmp_path / name), *flags])
        files = {path.name: path.read_text() for path in (tmp_path / name).glob("*")}
        return code, files.get("model.safetensors", "").rpartition(" ")[2], sorted(files)

    names = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert export("a") == (0, "20", names), "no best: the last"
    assert capsys.readouterr().out == f"{tmp_path / 'a'}\n"
    assert export("b", "--checkpoint", "best") == (2, "", [])
    assert "has no checkpoint 'best'; it has last, 10, 20" in capsys.readouterr().err
    (exported.path / "best.json").write_text('{"step": 10, "accuracy": 0.5}')
    assert export("b") == (0, "10", names) and export("c", "--checkpoint", "last")[1] == "20"
    (tmp_path / "d").mkdir()
    assert export("d", "--checkpoint", "20") == (0, "20", names)
    assert export("d", "--checkpoint", "10") == (2, "20", names)
    assert "is there already and not empty; choose another folder" in capsys.readouterr().err
    (exported.path / "checkpoints" / "step-00000020" / "config.json").unlink()
    assert export("e", "--checkpoint", "20") == (2, "", [])
    assert "step-00000020 of run lacks config.json, or was just replaced" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing half is left"


# -- real runs


def test_ctrl_c_stops_with_a_checkpoint_and_resume_finishes(tmp_path, pictures, capsys):
    (tmp_path / "training").mkdir()  # which must not be taken for ours
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit('the wrong training')")
    steps = ["--steps", "60", "--eval-every", "20", "--checkpoint-every", "0"]
    with command("run", *SMALL, *steps, "--data", pictures, "--out", "run", cwd=tmp_path) as process:
        for line in process.stdout:
            if line.startswith("step 20 "):
                process.send_signal(signal.SIGINT)
                break
        rest, faults = process.communicate()
    run = Run(tmp_path / "run")
    assert (process.returncode, faults) == (0, "") and rest.endswith(f"stopped {run.path}\n")
    assert run.state == "stopped" and run.last.step >= 20
    assert "step 20 " in run.log()[0], "the log is kept in the foreground too"
    assert run.attempt == 1
    step = run.last.step
    with command("resume", run.path, cwd=tmp_path) as process:
        out, faults = process.communicate()
    assert (process.returncode, faults) == (0, "") and f"resumed at step {step}\n" in out
    assert run.state == "finished" and run.attempt == 2 and run.last.step == 60
    assert cli.main(["resume", str(run.path)]) == 2
    assert capsys.readouterr().err == "error: run has finished; to train longer, start a new run with more steps\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--data", "/nowhere/at/all"], "nowhere"), (["--batch", "64"], "larger than the training set of 32 pictures")],
)
def test_a_run_that_could_not_begin_leaves_nothing_in_the_way(tmp_path, pictures, capsys, flags, words):
    flags = ["--steps", "2", "--held-out", "0", "--data", str(pictures), *flags]
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["run", *SMALL, *flags, "--out", str(tmp_path / "run")]) == 2
    assert signal.getsignal(signal.SIGTERM) == before
    said = capsys.readouterr().err
    assert "Traceback" not in said and words in said
    assert said.endswith(f"nothing was trained, so {tmp_path / 'run'} is gone again\n")
    assert not (tmp_path / "run").exists()


def test_a_queued_run_is_trained_by_a_process_of_its_own(tmp_path, pictures, until, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.py").write_text("raise SystemExit('the wrong training')")
    runs = Runs(tmp_path / "runs")
    config = cli._config(cli._parser().parse_args(["run", *SMALL, "--data", str(pictures), "--steps", "4"]))
    run = runs.create(config, sweep=(1e-3, 1e-2))
    assert runs.dispatch() == [run] and run.state == "running"
    until(lambda: run.state != "running", 300)
    assert (run.state, run.reason) == ("finished", "")
    assert run.read("sweep.json")["best"] in (1e-3, 1e-2) and run.best is None and run.last.step == 4
    assert (run.path / "results" / "test.json").is_file()
    assert not list((run.path / "trials").glob("*/results/test.json")), "the test set is read once"
