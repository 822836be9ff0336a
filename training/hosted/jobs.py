"""Hugging Face Jobs: the same run on a machine of theirs, paid by whoever sends it, its checkpoint pushed to the Hub.

A Job is a container with a command and nothing more, so the command brings everything along: the source of this project
at a revision, its pinned packages, the data, and the pushes: of the best checkpoint every ten minutes, and at the end.
Nothing else of the container outlives it. The token travels as a secret of the Job (HF_TOKEN) and is part of no `Job`
here.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

from training.command import NAMED, base_model, run_words
from training.config import ConfigError, RunConfig
from training.publish.hub import ask, checked_id, checked_token, claim
from vit_model.messages import message

IMAGE = "python:3.12"  # Debian with pip and git; torch's own packages bring CUDA, the machine brings the driver
FLAVOR, TIMEOUT = "a10g-small", "2h"
SOURCE = "VIT_EXPLORER_SOURCE"
_FLAVOR = re.compile(r"[a-z0-9][a-z0-9-]{1,40}", re.ASCII)
_SEVERAL = re.compile(r"x([2-9]|1[0-9])$")  # "a10g-largex4" has four GPUs
_TIMEOUT = re.compile(r"\d{1,6}(\.\d{1,3})?[smhd]?", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][\w./:@-]{1,255}", re.ASCII)
_GIT = re.compile(r"(https://[A-Za-z0-9][\w.:/~%-]{1,300}?)(?:@([\w][\w./-]{0,100}))?", re.ASCII)
_HUB = re.compile(r"(spaces|models)/([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w][\w./-]{0,100}))?", re.ASCII)
SHIPPED = ("bundled", "bundled-objects")  # models that come with the program, and so are there
_FOLDER, _RUN, _OVER = "/tmp/vit-explorer", "/tmp/run", "/tmp/over"  # in the container
LIST_SECONDS = 5  # for the list of prices: without it, the page shows the request alone
PUSH_SECONDS = 600  # between two pushes of a run that goes on


@dataclass(frozen=True)
class Job:
    """The arguments of `HfApi.run_job`, apart from the token."""

    image: str
    command: list[str]
    env: dict[str, str]
    flavor: str
    timeout: str
    push_to: str
    private: bool
    overwrite: bool

    def shown(self) -> dict[str, Any]:
        """Return the Job for people to read, with the token masked, as `send` would add it."""
        return asdict(self) | {"secrets": {"HF_TOKEN": "***"}}


def job_for(
    config: RunConfig,
    push_to: str,
    *,
    rates: Sequence[float] = (),
    flavor: str = FLAVOR,
    timeout: str = TIMEOUT,
    image: str = IMAGE,
    source: str | None = None,
    private: bool = True,
    overwrite: bool = False,
) -> Job:
    """Make the Job that trains `config` (with `rates`: after a sweep) and pushes its best checkpoint to `push_to`.

    `flavor`: the machine, as `hf jobs hardware` lists them; one with several GPUs trains on all. `timeout`: when
    the Job is ended, e.g. "90m" or "2h"; what was not pushed by then is lost. `image`: any with
    Python 3.11 or newer, pip, and git or nothing of it for a source on the Hub. `source`: where this project's code is,
    "https://host/owner/repository@revision" for git, "spaces/owner/name@revision" or "models/owner/name@revision" on
    the Hub; default: VIT_EXPLORER_SOURCE, else the Space that this runs on.

    ConfigError for what would fail there: data and models that lie on this machine, and names that cannot be.
    """
    checked_id(push_to)
    if not (config.data in NAMED or config.data.startswith("hf:")):
        text = "a Job cannot see the data here; use {names}, or push yours and use hf:owner/name"
        raise ConfigError(message("job_data", text, names=", ".join(NAMED)))
    if not (config.model in (*SHIPPED, "resnet18") or config.model.startswith("new:") or base_model(config)):
        text = "a Job cannot see the model here; use bundled, new:SIZE, resnet18 or a model of the Hub"
        raise ConfigError(message("job_model", text))
    for name, value, form, example in (
        ("flavor", flavor, _FLAVOR, FLAVOR),
        ("timeout", timeout, _TIMEOUT, TIMEOUT),
        ("image", image, _IMAGE, IMAGE),
    ):
        if not isinstance(value, str) or not form.fullmatch(value):
            text, got = "{field} expects something like {example}, got {value}", repr(str(value)[:60])
            raise ConfigError(message("job_field", text, field=name, example=example, value=got))
    if config.device == "auto" and not flavor.startswith("cpu"):
        config = config.having(device="cuda")  # where torch finds no GPU, fail at once, not train on a CPU at its price
    push = shlex.join(["python3", "-m", "training", "push", _RUN, "--repo", push_to, "--overwrite"])
    script = "\n".join(
        [
            "set -eu",
            *_fetch(source or _own_source()),
            f"cd {_FOLDER}",
            # the page's packages are not needed to train
            "grep -v -E '^(gradio|plotly)' requirements.txt > /tmp/requirements.txt",
            "python3 -m pip install -q -r /tmp/requirements.txt",
            # while it trains, so that a Job that is ended from outside leaves what it had reached
            f"(n=1; until [ -e {_OVER} ]; do sleep 1; [ $((n % {PUSH_SECONDS})) = 0 ] && {push} || true; "
            "n=$((n + 1)); done) &",
            "ended=0",
            f"{_train(config, rates, flavor)} || ended=$?",
            f"touch {_OVER}",
            "wait",
            push,
            "exit $ended",  # a run that failed has still pushed what it had reached
        ]
    )
    env = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore", "PYTHONUNBUFFERED": "1"}
    return Job(image, ["bash", "-c", script], env, flavor, timeout, push_to, private, overwrite)


@dataclass(frozen=True)
class Price:
    """US dollars: of an hour of a machine, and the most that a Job on it can cost."""

    hour: float
    most: float

    def in_dollars(self) -> dict[str, str]:
        """Format the amounts."""
        return {name: f"{amount:.2f}" for name, amount in asdict(self).items()}


def price_of(flavor: str, timeout: str) -> Price | None:
    """Look the price up in the Hub's public list of machines, without a token; None if the list cannot be had, or does
    not name this one. (huggingface_hub's own call waits without end for a Hub that does not answer.)"""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    hours = {"second": 1 / 3600, "minute": 1 / 60, "hour": 1.0}
    number, unit = (timeout[:-1], timeout[-1]) if timeout[-1].isalpha() else (timeout, "s")
    try:
        listed = get_session().get(f"{constants.ENDPOINT}/api/jobs/hardware", timeout=LIST_SECONDS).json()
        (found,) = [one for one in listed if one["name"] == flavor]
        hour = float(found["unitCostUSD"]) / hours[found["unitLabel"]]
    except (HTTPError, OSError, ValueError, KeyError, TypeError):
        return None
    return Price(hour, hour * float(number) * {"s": 1 / 3600, "m": 1 / 60, "h": 1.0, "d": 24.0}[unit])


def send(job: Job, token: str) -> str:
    """Start the Job on the account of the token; return the address of its page. The repository is made first, so that
    a name that is taken is known before anything is paid for. PushError says what the Hub refused."""
    from huggingface_hub import HfApi, constants

    token = checked_token(token)
    claim(job.push_to, token, private=job.private, overwrite=job.overwrite)
    started = ask(
        HfApi(endpoint=constants.ENDPOINT, token=token, library_name="vit-explorer").run_job,
        token,
        message("job_on", "a Job on {flavor}", flavor=job.flavor),
        message("job_unsent", ". {name} was made and is as it was", name=job.push_to),
        image=job.image,
        command=job.command,
        env=job.env,
        secrets={"HF_TOKEN": token},
        flavor=job.flavor,
        timeout=job.timeout,
    )
    return started.url


def _train(config: RunConfig, rates: Sequence[float], flavor: str) -> str:
    words = ["-m", "training", *run_words(config, rates), "--out", _RUN]
    if _SEVERAL.search(flavor):
        return shlex.join(["torchrun", "--standalone", "--nproc-per-node", "gpu", *words])
    return shlex.join(["python3", *words])


def _fetch(source: str) -> list[str]:
    """Return the shell lines that bring this project's code to _FOLDER."""
    if found := _HUB.fullmatch(source):
        kind, repo, revision = found.groups()
        words = ["hf", "download", repo, "--repo-type", kind.removesuffix("s"), "--local-dir", _FOLDER, "--quiet"]
        return [
            f"python3 -m pip install -q {_pinned('huggingface_hub')}",
            shlex.join(words + (["--revision", revision] if revision else [])) + " > /dev/null",
        ]
    if found := _GIT.fullmatch(source.removeprefix("git+")):
        address, revision = found.groups()
        return [
            shlex.join(["git", "clone", "-q", "--filter=blob:none", address, _FOLDER]),
            *([shlex.join(["git", "-C", _FOLDER, "checkout", "-q", revision])] if revision else []),
        ]
    raise ConfigError(
        message(
            "job_source_odd",
            "{variable} expects https://host/owner/repository@revision, spaces/owner/name@revision or "
            "models/owner/name@revision, got {value}",
            variable=SOURCE,
            value=repr(source[:100]),
        )
    )


def _own_source() -> str:
    named = os.environ.get(SOURCE) or ("spaces/" + os.environ["SPACE_ID"] if os.environ.get("SPACE_ID") else "")
    if not named:
        raise ConfigError(
            message(
                "job_source",
                "a Job fetches this project's code itself; set {variable} to where it is, such as "
                "https://host/owner/repository@revision or spaces/owner/name",
                variable=SOURCE,
            )
        )
    return named


def _pinned(package: str) -> str:
    """The version that this computer has, of requirements.txt where that was installed."""
    return f"{package}=={version(package)}"
