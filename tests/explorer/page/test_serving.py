"""`python app.py` as a process: another user, a read-only checkout, a Space, ZeroGPU, and who may name local paths."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gradio.i18n import I18nData

import app
from explorer.page.page import build_page
from explorer.page.serving import launch
from explorer.ui.model_picker import public_source
from vit_model import SIZES, VisionTransformer, save_model

ROOT = Path(app.__file__).parent
PARTS = ("app.py", "explorer", "training", "vit_model")


def environment(cache: Path, **more: str) -> dict[str, str]:
    """A plain user's environment with one writable folder."""
    names = ("PATH", "SYSTEMROOT", "VIRTUAL_ENV", "GRADIO_SERVER_PORT", "VIT_EXPLORER_DEVICE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"HOME": str(cache), "VIT_EXPLORER_CACHE": str(cache), "PYTHONDONTWRITEBYTECODE": "1"} | more


def answer(process: subprocess.Popen, seconds: float = 90) -> str:
    """The page of a server that says where it listens."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        said += line
        if found := re.search(r"http://[\w.:\[\]]+", line):
            url = found.group().replace("0.0.0.0", "127.0.0.1")
            with urllib.request.urlopen(url, timeout=20) as response:
                return response.read().decode()
        if not line and process.poll() is not None:
            break
    raise AssertionError(f"the server did not start:\n{said}")


@pytest.mark.parametrize("port", ["99999", "-1", "http", "0"])
def test_a_port_is_a_number(port, capsys):
    with pytest.raises(SystemExit):
        launch.arguments([f"--port={port}"])
    assert f"argument --port: a port is a number from 1 to 65535, got '{port}'" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["300.1.1.1", "192.0.2.1"])
def test_a_host_that_cannot_be_is_named_with_its_flag(host):
    assert launch.address_fault(host, None).startswith(f"argument --host: cannot listen on '{host}' (")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_in_use_is_named_with_its_flag(host):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert launch.address_fault(host, port).startswith(f"argument --port: cannot listen on {port} (")
    assert launch.address_fault(host, port) == ""
    assert launch.address_fault(host, None) == ""


def test_an_address_that_cannot_be_ends_the_command_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "app.py", "--host", "300.1.1.1"], cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 1
    assert done.stderr.startswith("app.py: error: argument --host: ")
    assert "Traceback" not in done.stderr


def test_a_model_that_does_not_load_is_said_in_the_terminal(tmp_path, capsys):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8no model")
    for name in ("none.safetensors", "photo.jpg"):
        source = tmp_path / name
        launch.load_ahead(str(source))
        said = capsys.readouterr().err
        assert said.startswith(f"app.py: --model {source}: ") and "bundled" not in said
    launch.load_ahead("bundled")
    assert capsys.readouterr().err == ""


def serve(folder: Path, env: dict[str, str], *words: str) -> str:
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=env | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        return answer(process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.skipif(os.name != "posix", reason="changes permissions the POSIX way")
def test_read_only_checkout_without_privileges_and_a_writable_cache(tmp_path):
    command = [sys.executable, "app.py"]
    if os.geteuid() == 0:  # root ignores permissions, unless it gives up its capabilities
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root ignores permissions, and there is no setpriv to make it like any other user")
        command = [setpriv, "--inh-caps=-all", "--bounding-set=-all", *command]
    checkout, cache = tmp_path / "checkout", tmp_path / "cache"
    checkout.mkdir()
    cache.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, checkout / part)
    paths = [checkout, *checkout.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        page = serve(checkout, environment(cache), *command)
        assert "ViT Explorer" in page
        assert sorted(checkout.rglob("*")) == sorted(paths[1:])
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_on_a_space_it_listens_to_everyone_and_offers_no_local_paths(tmp_path):
    env = environment(tmp_path, SPACE_ID="someone/vit-explorer", GRADIO_SERVER_PORT="0", HF_HUB_OFFLINE="1")
    code = (
        "import app; assert app.options.host == '0.0.0.0', app.options.host;"
        "box = next(b for b in app.demo.blocks.values() if getattr(b, 'elem_id', '') == 'own-path');"
        "assert box.visible is False"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_importing_app_needs_no_network_and_builds_the_page(tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a connection was made')\n"
        "socket.socket.connect = refuse\n"
        "import app\nassert app.demo.title == 'ViT Explorer'\n"
        "assert 'torchvision' not in sys.modules, 'a second and more of the start'"
    )
    env = environment(tmp_path)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


ZERO_GPU = '''
"""A stand-in for Hugging Face's package that does what its documentation says of ZeroGPU: each call of a decorated
function runs in a forked, daemonic process, and what it returns, or a generator yields, is pickled."""
import inspect
import multiprocessing
import pickle

CALLS = []

def GPU(function=None, duration=60):
    if function is None:
        return lambda decorated: GPU(decorated, duration)
    if inspect.isgeneratorfunction(function):
        def steps(*arguments):
            context = multiprocessing.get_context("fork")
            queue, end = context.SimpleQueue(), "the end"
            def work():
                for value in function(*arguments):
                    queue.put(pickle.dumps(value))
                queue.put(end)
            process = context.Process(target=work, daemon=True)
            process.start()
            CALLS.append((function.__name__, duration))
            try:
                while (value := queue.get()) != end:
                    yield pickle.loads(value)
            finally:
                process.kill()
                process.join()
        return steps
    def call(*arguments):
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        process = context.Process(target=lambda: queue.put(function(*arguments)), daemon=True)
        process.start()
        result = queue.get()
        process.join()
        CALLS.append((function.__name__, duration))
        return result
    return call
'''

LOOK = """
import spaces, torch
torch.set_num_threads(1)
from explorer.analysis.explain.gradients import class_gradients
from explorer.session.scenes import ModelChoice, gradients_of, scene_of, scene_at_size
from explorer.ui.examples import example_files
scene = scene_of(ModelChoice(), example_files()[0])
assert spaces.CALLS == [("_trace", 60)], spaces.CALLS
assert scene.top(1)[0][0] == "parachute", scene.top()
assert scene.trace.logits.device.type == "cpu"
gradients = gradients_of(scene, 3)
assert gradients_of(scene, 3) is gradients
fresh = class_gradients(scene.model, scene.pixels, 3)
torch.testing.assert_close((*gradients.outputs, gradients.pixels), (*fresh.outputs, fresh.pixels))
seen = scene_at_size(scene, (64, 128), "jax")
torch.testing.assert_close(seen.trace.logits, seen.model(seen.pixels))
gradients_of(seen, 3)
assert spaces.CALLS[1:] == [("_gradients", 60), ("_trace", 60), ("_gradients", 60)], spaces.CALLS

from explorer.analysis.ablation import ablate
from explorer.analysis.faithfulness.leaderboard import leaderboard
from explorer.tabs.laboratory import edits as laboratory_edits
from explorer.tabs.faithfulness import tab as truth
from explorer.ui.events.progress import StoppedError
from explorer.tabs.faithfulness.values import SEED, Asked

del spaces.CALLS[:]
*_, found = laboratory_edits.ablation_of(scene, laboratory_edits.read_wish({"size": "192"}, scene))
larger = scene_at_size(scene, (192, 192))
*_, fresh = ablate(larger.model, larger.trace, int(scene.trace.logits[0].argmax()))
torch.testing.assert_close(found.logits, fresh.logits, rtol=1e-4, atol=1e-4)
assert ("_ablations", 60) in spaces.CALLS, spaces.CALLS
del spaces.CALLS[:]
asked = Asked.of(scene, "", ["rollout", "grad-cam"], 4, "probability")
truth.measure(asked, lambda done, total: None)
*_, fresh = leaderboard(scene.model, scene.pixels, asked.target, methods=asked.methods, steps=4, seed=SEED)
assert asked.found.board.ranking == fresh.ranking and asked.found.board.curves.complete
torch.testing.assert_close(asked.found.board.maps["grad-cam"], fresh.maps["grad-cam"])
told = []
def stop(done, total):
    told.append(done)
    if len(told) == 3:
        raise StoppedError
try:
    truth._check(asked, stop)
    raise AssertionError("not stopped")
except StoppedError:
    assert asked.found.sanity is not None and not asked.found.sanity.complete
assert spaces.CALLS == [("_boards", 120), ("_checks", 120)], spaces.CALLS
"""


@pytest.mark.skipif(os.name != "posix", reason="ZeroGPU forks, which Windows cannot")
def test_zero_gpu_runs_forwards_in_its_forked_worker(tmp_path):
    (tmp_path / "spaces.py").write_text(ZERO_GPU)
    env = environment(
        tmp_path, SPACES_ZERO_GPU="1", SPACE_ID="a/b", PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])
    )
    run = subprocess.run([sys.executable, "-c", LOOK], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_other_hosts_than_loopback_offer_no_local_paths(host):
    assert launch.arguments(["--host", host]).host not in launch.LOOPBACK


def test_a_model_of_the_hosts_own_is_offered_by_name_and_not_by_path(tmp_path):
    save_model(VisionTransformer(SIZES["scratch-vit2"]).eval(), tmp_path / "ours")
    demo = build_page(str(tmp_path / "ours"))
    told = json.dumps(demo.get_config_file(), default=str)
    assert '"ours"' in told
    assert str(tmp_path) not in told


def test_names_that_visitors_type_are_never_paths():
    assert public_source("bundled") == "bundled"
    assert public_source(" google/vit-base-patch16-224 ") == "hf-hub:google/vit-base-patch16-224"
    assert public_source("/etc/passwd") == "hf-hub:/etc/passwd"


def test_what_every_visit_copies_is_plain_data():
    """Gradio copies the page's config at each visit. An object of ours in it, or an event that it takes a parameter's
    name for, would be copied with all that hangs from it."""

    def strange(value, path):
        if isinstance(value, dict):
            return [found for key, item in value.items() for found in strange(item, f"{path}.{key}")]
        if isinstance(value, list | tuple):
            return [found for item in value for found in strange(item, path)]
        plain = isinstance(value, str | int | float | bool | I18nData | None)
        return [] if plain or path.endswith(".delete_callback") else [f"{path}: {type(value).__name__}"]

    components = build_page(local_paths=True).get_config_file()["components"]
    assert [found for each in components for found in strange(each["props"], each["type"])] == []
