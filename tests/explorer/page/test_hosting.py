"""What whoever runs the page reads where it cannot work: words instead of a traceback. And who may read its files."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest

import app
from explorer.page.page import build_page
from explorer.tabs.train import tab as train
from explorer.tabs.train.history.panel import plain_reason, row_of
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.watch.view import TrainLiveView
from explorer.ui.translation import translate_both
from tests.explorer.tabs.train.run_folders import write_run
from training.runs.runs import Runs
from vit_model.messages import message

ROOT = Path(app.__file__).parent


def started(**settings: str) -> subprocess.CompletedProcess:
    """`python app.py` that is to end by itself."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VIT_EXPLORER", "GRADIO"))}
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=env | settings, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("VIT_EXPLORER_CACHE", "set it to a folder that this user may write"),
        ("GRADIO_TEMP_DIR", "set GRADIO_TEMP_DIR, or VIT_EXPLORER_CACHE for all that is written"),
    ],
)
def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, setting, advice):
    """Python's traceback, or, with GRADIO_TEMP_DIR, an error at each visitor's upload."""
    (tmp_path / "file").write_text("x")
    done = started(**{setting: str(tmp_path / "file" / "cache")})
    assert done.returncode == 1
    assert done.stderr.startswith("app.py: error: ") and done.stderr.count("\n") == 1
    assert f"cannot write in {tmp_path}/file/cache" in done.stderr and advice in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_cache_is_for_its_owner(tmp_path):
    code = "import app, os; demo = app.launch(app.demo, prevent_thread_lock=True, quiet=True)[0]; os._exit(0)"
    env = os.environ | {"VIT_EXPLORER_CACHE": str(tmp_path / "new" / "cache")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, timeout=120, check=True)
    cache = tmp_path / "new" / "cache"
    made = [cache, *(path for path in cache.iterdir() if path.is_dir())]
    assert {path.name for path in made} >= {"cache", "tmp", "gradio"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new", *made)} == {0o700}


@pytest.mark.parametrize("installed", [True, False])
def test_a_space_without_gradios_oauth_opens_and_says_what_is_missing(installed, monkeypatch, capsys, runs):
    """Gradio raised an ImportError when the page was built. An environment of requirements.txt alone lacks authlib."""
    monkeypatch.setenv("SPACE_ID", "someone/vit-explorer")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    monkeypatch.setattr(train, "find_spec", lambda package: installed or None)
    monkeypatch.setattr(train.gr, "LoginButton", lambda *words, **more: gr.Button("login", **more))
    demo = build_page()
    login = next(block for block in demo.blocks.values() if getattr(block, "elem_id", None) == "login")
    assert isinstance(login, gr.Button if installed else gr.Markdown)
    said = capsys.readouterr().err
    assert ("add gradio[oauth] to this Space's requirements.txt" in said) != installed


@pytest.fixture
def failed(tmp_path):
    """A run that failed with the host's folders in its words and log."""
    runs = Runs(tmp_path / "runs")
    run = write_run(runs, "mine", ended="failed")
    reason = f"cannot read {Path.home()}/data/pets/a.jpg: gone; see /srv/secret/disk/log.txt"
    (run.path / "ended.json").write_text(json.dumps({"state": "failed", "reason": reason, "time": 1}))
    (run.path / "log.txt").write_text(f'File "{sys.prefix}/lib/torch/x.py", line 3\nOSError: /srv/secret/disk/b.jpg\n')
    return runs, run


def without_folders_of_the_host(text: str) -> bool:
    return not any(folder in text for folder in (str(Path.home()), sys.prefix, "/srv/secret", str(ROOT)))


def test_a_failed_run_names_no_folder_of_the_host_to_visitors(failed):
    """Its reason, and the traceback in its log, told where the host keeps data and programs."""
    runs, run = failed
    access = RunAccess(runs, loopback=False)
    view = TrainLiveView(find=access.find, told=translate_both)
    told = view.tail({"run": run.id, "ticket": access.ticket(run), "offset": 0, "log_offset": 0})
    assert without_folders_of_the_host(json.dumps(told)), told
    assert "a.jpg" in told["reason"]["en"] and "x.py" in told["log"]
    reason = plain_reason(run, run.status().reason)
    assert without_folders_of_the_host(reason) and "log.txt" in reason


def test_a_coded_reason_is_shown_in_chinese_without_folders_too(failed):
    runs, run = failed
    folder = message("disk_free", "{folder} has {free} free", folder="/srv/secret/disk", free="1.0 GB")
    run.end("failed", message("disk_full", "the disk is full: {found}; make room and try again", found=folder))
    access = RunAccess(runs, loopback=False)
    view = TrainLiveView(find=access.find, told=translate_both)
    told = view.tail({"run": run.id, "ticket": access.ticket(run), "offset": 0, "log_offset": 0})
    row = row_of(run)
    assert without_folders_of_the_host(json.dumps([told, row])), (told, row)
    assert told["reason"] == row["reason"]
    assert told["reason"]["zh"] == "磁盘已满：disk 剩余 1.0 GB；请腾出空间后重试"
