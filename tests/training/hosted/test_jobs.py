"""Jobs up to the request: what is sent, that its command would do what it says, and what is refused before it costs."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.training.publish.hub_writes import WritableHub
from tests.vit_model.checkpoints.hub_server import keep_to
from training import __main__ as cli
from training.config import ConfigError, RunConfig
from training.hosted import jobs
from training.hosted.jobs import job_for, price_of, send
from training.publish.hub import PushError
from training.recipes import recipe_named

TOKEN, GIT = "hf_secretSecretSecret", "https://code.example/ann/vit-explorer@v1.0"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with WritableHub({TOKEN: "ann"}) as server:
        keep_to(server.url, tmp_path / "home", monkeypatch)
        for name in ("SPACE_ID", jobs.SOURCE):
            monkeypatch.delenv(name, raising=False)
        yield server


def config(**more):
    return recipe_named("adamw").config(**{"data": "hf:ann/birds", "epochs": 3.0} | more)


def lines(job):
    assert job.command[:2] == ["bash", "-c"] and len(job.command) == 3
    return job.command[2].splitlines()


def trained(job):
    """The words of the line that trains."""
    (line,) = [line for line in lines(job) if " -m training " in line and " push " not in line]
    return shlex.split(line.removesuffix(" || ended=$?"))


def test_the_request(hub):
    job = job_for(config(lr=0.01), "ann/birds-vit", flavor="a10g-large", timeout="90m", source=GIT)
    assert send(job, TOKEN) == f"{hub.url}/jobs/ann/687fb701029421ae5549d998"
    (told,) = hub.jobs
    assert told["dockerImage"] == "python:3.12" and told["flavor"] == "a10g-large" and told["timeoutSeconds"] == 5400
    assert told["secrets"] == {"HF_TOKEN": TOKEN} and told["command"] == job.command
    assert TOKEN not in json.dumps({name: value for name, value in told.items() if name != "secrets"})
    assert hub.repos == {"ann/birds-vit": {"private": True, "files": {}}}


def test_the_command_line_of_the_job_is_the_same_run(hub):
    changed = config(lr=0.01, flip=False, stages=((48, 0.5),), resolution=96)
    words = trained(job_for(changed, "ann/model", source=GIT))
    assert words[:3] == ["python3", "-m", "training"]
    options = cli._parser().parse_args(words[3:])
    assert cli._config(options) == changed.having(device="cuda") and options.out == Path("/tmp/run")
    plain = RunConfig(recipe="of my own", steps=3, data="cifar10")
    again = cli._config(cli._parser().parse_args(trained(job_for(plain, "ann/model", source=GIT))[3:]))
    assert again.to_dict() | {"recipe": "of my own", "device": "auto"} == plain.to_dict()
    sweep = trained(job_for(config(), "ann/model", rates=(0.001, 0.01), source=GIT))
    assert sweep[3] == "sweep" and cli._rates(cli._parser().parse_args(sweep[3:]).rates) == (0.001, 0.01)


def test_the_push_at_the_end_is_one_that_the_command_line_knows(hub):
    line = lines(job_for(config(), "ann/model", source=GIT))[-2]
    options = cli._parser().parse_args(shlex.split(line)[3:])
    assert (options.command, options.repo, options.overwrite) == (cli._push, "ann/model", True)
    assert str(options.run) == "/tmp/run"
    (meanwhile,) = [one for one in lines(job_for(config(), "ann/model", source=GIT)) if one.startswith("(")]
    assert f"&& {line} || true" in meanwhile and "600" in meanwhile


@pytest.mark.parametrize(
    ("flavor", "several"),
    [("a10g-small", False), ("l4x1", False), ("a10g-largex4", True), ("h200x8", True), ("cpu-upgrade", False)],
)
def test_a_machine_with_several_gpus_trains_on_all(hub, flavor, several):
    words = trained(job_for(config(), "ann/model", flavor=flavor, source=GIT))
    assert (words[0] == "torchrun") == several
    if several:
        assert words[1:6] == ["--standalone", "--nproc-per-node", "gpu", "-m", "training"]


def test_a_gpu_that_torch_cannot_use_is_not_paid_for_in_silence(hub):
    for flavor, device in (("a10g-small", "cuda"), ("cpu-upgrade", "auto")):
        options = cli._parser().parse_args(trained(job_for(config(), "ann/model", flavor=flavor, source=GIT))[3:])
        assert cli._config(options).device == device


A10G = {
    "name": "a10g-small",
    "prettyName": "A10G",
    "unitCostMicroUSD": 16_667,
    "unitCostUSD": 1 / 60,
    "unitLabel": "minute",
}


@pytest.mark.parametrize(
    ("timeout", "unit", "most"),
    [
        ("90m", "minute", 1.5),
        ("2h", "minute", 2),
        ("5400", "minute", 1.5),
        ("1.5d", "hour", 0.6),
        ("30s", "second", 0.5),
    ],
)
def test_a_price_by_the_hubs_list(hub, timeout, unit, most):
    hub.machines += [A10G | {"name": "t4-small", "unitCostUSD": 7.0}, A10G | {"unitLabel": unit}]
    found = price_of("a10g-small", timeout)
    assert found.most == pytest.approx(most)
    assert found.hour == pytest.approx({"second": 60, "minute": 1, "hour": 1 / 60}[unit])
    assert all(authorization is None for *_, authorization, _ in hub.requests)  # nobody's token


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [{"name": "t4-small"}],
        [{"name": "a10g-small"}],
        [A10G | {"unitLabel": "moon"}],
        [A10G | {"unitCostUSD": None}],
        {"error": "later"},
        ["?"],
    ],
)
def test_no_price_where_the_list_has_none(hub, listed):
    hub.machines = listed
    assert price_of("a10g-small", "2h") is None


def test_no_price_without_the_list(hub, tmp_path, monkeypatch):
    hub.refusals["/api/jobs/hardware"] = (500, "down")
    assert price_of("a10g-small", "2h") is None
    keep_to("http://127.0.0.1:9", tmp_path / "other", monkeypatch)
    assert price_of("a10g-small", "2h") is None


def test_flavours_that_huggingface_hub_names_are_accepted(hub):
    from huggingface_hub import JobHardware

    for flavor in JobHardware:
        assert job_for(config(), "ann/model", flavor=flavor.value, source=GIT).flavor == flavor.value


@pytest.mark.skipif(os.name != "posix", reason="the script is for a container's bash")
@pytest.mark.parametrize("code", [0, 1])
def test_the_script_runs_from_the_source_to_the_push(tmp_path, hub, code):
    """In a bash here, with a real git and a Python that notes what it is asked for. The run ends with `code`."""
    origin, home = tmp_path / "origin", tmp_path / "home"
    origin.mkdir()
    (origin / "requirements.txt").write_text("torch==2.11.0\ngradio==6.31.0\nplotly==7.1.0\nnumpy==2.4.6\n")
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1.0"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(
        f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\n[ "$2" = pip ] && cat "${{@: -1}}" >> {tmp_path}/asked\n'
        f'if [ "$3" = run ]; then until grep -q "training push" {tmp_path}/asked; do sleep 0.1; done; exit {code}; fi\n'
        f'[ "$3" != push ] || [ -e {tmp_path}/home/over ] || exit 1\n'  # a push on the way that fails ends nothing
    )
    python.chmod(0o755)
    job = job_for(config(), "ann/model", source=GIT)
    script = job.command[2].replace("/tmp/", f"{home}/").replace("600", "1")
    script = script.replace("https://code.example/ann/vit-explorer", f"file://{origin}")
    home.mkdir()
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(home)}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    pip, torch, numpy, *rest = (tmp_path / "asked").read_text().splitlines()
    (run,), pushes = ([one for one in rest if word in one] for word in ("training run", "training push"))
    assert len(pushes) > 1, "once or more while it trains, and at the end"
    push = pushes[-1]
    assert pip.startswith("-m pip install") and (torch, numpy) == ("torch==2.11.0", "numpy==2.4.6")
    assert run.startswith("-m training run --recipe adamw --data hf:ann/birds")
    assert push == f"-m training push {home}/run --repo ann/model --overwrite"


def test_the_source_on_the_hub_is_a_snapshot(hub, monkeypatch):
    job = job_for(config(), "ann/model", source="spaces/ann/vit-explorer@abc")
    install, fetch = lines(job)[1:3]
    assert install.startswith("python3 -m pip install -q huggingface_hub==2.")
    words = shlex.split(fetch)
    assert words[:5] == ["hf", "download", "ann/vit-explorer", "--repo-type", "space"] and "abc" in words
    monkeypatch.setenv("SPACE_ID", "ann/copy")
    assert "ann/copy" in lines(job_for(config(), "ann/model"))[2], "on a Space: its own repository"
    monkeypatch.setenv(jobs.SOURCE, GIT)
    assert "https://code.example/ann/vit-explorer" in lines(job_for(config(), "ann/model"))[1]


def test_the_hf_command_has_these_flags():
    words = shlex.split(jobs._fetch("models/ann/code@v1")[1].partition(">")[0])
    hf = Path(sys.executable).with_name("hf")
    if not hf.exists():
        pytest.skip("no hf command beside this Python")
    told = subprocess.run([str(hf), "download", "--help"], capture_output=True, text=True, check=True).stdout
    for flag in (word for word in words if word.startswith("--")):
        assert flag in told


@pytest.mark.parametrize(
    ("changes", "choices", "words"),
    [
        ({"data": "/home/ann/birds"}, {}, "cannot see the data here; use shapes, cifar10"),
        ({"data": "birds.zip"}, {}, "cannot see the data here"),
        ({"model": "/home/ann/model"}, {}, "cannot see the model here"),
        ({"model": "resnet18:/home/ann/w.pt"}, {}, "cannot see the model here"),
        ({}, {"flavor": "a10g; rm -rf /"}, "flavor expects something like a10g-small"),
        ({}, {"timeout": "soon"}, "timeout expects something like 2h, got 'soon'"),
        ({}, {"image": "$(reboot)"}, "image expects something like python:3.12"),
        ({}, {"source": "/home/ann/code"}, "VIT_EXPLORER_SOURCE expects https://host/owner/repository@revision"),
        ({}, {"source": "https://x/y;reboot"}, "VIT_EXPLORER_SOURCE expects"),
        ({}, {"source": None}, "a Job fetches this project's code itself; set VIT_EXPLORER_SOURCE"),
    ],
)
def test_what_would_fail_there_is_said_here(hub, changes, choices, words):
    with pytest.raises(ConfigError) as caught:
        job_for(config(**changes), "ann/model", **{"source": GIT} | choices)
    assert words in str(caught.value) and not hub.requests


def test_words_of_a_visitor_are_quoted(hub):
    job = job_for(config(data="hf:a/b; touch /tmp/hacked $(id)"), "ann/model", source=GIT)
    assert "hf:a/b; touch /tmp/hacked $(id)" in trained(job)
    with pytest.raises(PushError, match="expected a repository as owner/name"):
        job_for(config(), "ann/model; reboot", source=GIT)


def test_a_name_that_is_taken_costs_nothing(hub):
    hub.repos["ann/model"] = {"private": True, "files": {"README.md": b"old"}}
    with pytest.raises(PushError, match="ann/model exists already"):
        send(job_for(config(), "ann/model", source=GIT), TOKEN)
    assert not hub.jobs
    send(job_for(config(), "ann/model", source=GIT, overwrite=True), TOKEN)
    assert len(hub.jobs) == 1


def test_without_credit(hub):
    hub.refusals["/api/jobs/"] = (402, f"pay, {TOKEN}")
    with pytest.raises(PushError, match="asks for payment: this needs credit") as caught:
        send(job_for(config(), "ann/model", source=GIT), TOKEN)
    assert TOKEN not in str(caught.value) and caught.value.__context__ is None


def test_job_from_a_terminal(hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv(jobs.SOURCE, GIT)
    words = ["job", "--recipe", "adamw", "--data", "hf:ann/birds", "--lr", "0.01", "--push-to", "ann/model"]
    assert cli.main([*words, "--flavor", "t4-small", "--dry-run"]) == 0
    said = capsys.readouterr().out
    shown = json.loads(said)
    assert shown["flavor"] == "t4-small" and shown["secrets"] == {"HF_TOKEN": "***"} and TOKEN not in said
    assert [path for _, path, *_ in hub.requests] == ["/api/jobs/hardware"]  # and nothing is sent
    hub.machines.append(A10G)
    assert cli.main([*words, "--public", "--timeout", "30m"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{hub.url}/jobs/ann/687fb701029421ae5549d998\n"
    assert said.err == "$1.00 an hour, at most $0.50 until the timeout\n"
    assert hub.jobs[0]["timeoutSeconds"] == 1800 and not hub.repos["ann/model"]["private"]
    assert "--lr 0.01" in hub.jobs[0]["command"][2]
    assert cli.main([*words, "--sweep"]) == 2
    assert "adamw has no learning rates to sweep; pass --rates" in capsys.readouterr().err
    assert cli.main([*words, "--rates", "0.1,0.01", "--overwrite"]) == 0
    assert " sweep --recipe adamw " in hub.jobs[1]["command"][2]


def test_local_data_from_a_terminal(hub, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(jobs.SOURCE, GIT)
    assert cli.main(["job", "--data", str(tmp_path), "--push-to", "ann/model", "--dry-run"]) == 2
    assert "cannot see the data here" in capsys.readouterr().err


def test_the_default_config_of_every_recipe_can_be_sent_or_says_why_not(hub):
    for name in ("paper", "adamw", "scratch-vit4", "scratch-resnet18"):
        job_for(recipe_named(name).config(), "ann/model", source=GIT)
    assert isinstance(job_for(RunConfig(recipe="mine", steps=3), "ann/model", source=GIT), jobs.Job)
    assert hub.url == constants.ENDPOINT and not hub.requests
