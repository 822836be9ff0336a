"""`python -m training run|resume|sweep|list|export|push|job`: train in the foreground, and look after runs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.config import FACTS, ConfigError, RunConfig, choices_of, is_switch, parse_field
from training.fields import FieldFacts
from training.publish.export import export
from training.recipes import RECIPES, recipe_named
from training.runs.console import age, logged, percent
from training.runs.run import finished_message
from training.runs.runs import Run, RunError, Runs
from vit_model.messages import message

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))  # set by torchrun


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit code 0 when finished or stopped, 1 for a run that failed, 2 with one line on stderr for a
    mistake in the command."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError) as error:  # ConfigError, RunError, DataError, CheckpointError; no place to write to
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    config = _config(options)
    return _fresh(options, config, ())


def _sweep(options: argparse.Namespace) -> int:
    config = _config(options)
    return _fresh(options, config, _swept(options, config))


def _fresh(options: argparse.Namespace, config: RunConfig, rates: Sequence[float]) -> int:
    if options.out is None and WORLD > 1:
        text = "under torchrun pass --out RUN_DIR, so that all processes know it"
        raise ConfigError(message("torchrun_out", text))
    if RANK > 0 and options.out is not None:
        run = Run(options.out)
        while not (run.path / "run.json").exists():  # the first process makes it; torchrun ends us if it cannot
            time.sleep(0.05)
        return _train(run)
    if options.out is None:
        run = Runs().create(config, name=options.name, sweep=rates, queue=False)
    else:
        run = Run.create(options.out, config, name=options.name, sweep=rates)
    code = _train(run)
    if code == 1 and not run.checkpoints() and not run.progress.get("step"):
        shutil.rmtree(run.path)  # so that the same command does once its fault is mended
        print(f"nothing was trained, so {run.path} is gone again", file=sys.stderr)
        return 2
    return code


def _resume(options: argparse.Namespace) -> int:
    run = _existing(options.run, "resume")
    if RANK == 0 and run.state == "finished":
        raise RunError(finished_message(run.id))
    return _train(run, {"data": options.data, "changed_data": options.changed_data})


def _existing(path: Path, verb: str) -> Run:
    run = Run(path)
    if run.fault:
        text = "there is no run to {verb} in {path}: {reason}"
        raise RunError(message("no_run_to", text, verb=verb, path=path, reason=run.fault))
    return run


def _train(run: Run, resumed: dict[str, Any] | None = None) -> int:
    """Train a run in this process, until it ends. Ctrl-C and SIGTERM stop it with a checkpoint. `resumed`: arguments of
    `prepare_resume`."""
    if RANK > 0:
        from training.loop.worker import work

        return work(run)
    run.begin()  # before torch is imported, which takes seconds
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until `work` has handlers of its own
    with logged(run):
        try:
            if resumed:
                run.prepare_resume(**resumed)
            from training.loop.worker import work

            print(f"run {run.path}", flush=True)
            code = work(run)
            print(f"{run.read('ended.json').get('state', 'ended')} {run.path}", flush=True)
            return code
        except KeyboardInterrupt:
            run.end("stopped", message("stopped_before", "stopped before it had begun to train"))
            return 0
        except Exception as error:
            run.end("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def _list(options: argparse.Namespace) -> int:
    runs = Runs(options.folder)
    rows = [("run", "state", "step", "accuracy", "age")]
    for run in runs.list():
        progress = run.progress
        step = f"{progress.get('step', 0):g}" + (f"/{progress['steps']:g}" if "steps" in progress else "")
        rows.append((run.id, run.state, step, percent(run), age(time.time() - run.created)))
    if len(rows) == 1:
        print(f"no runs in {runs.folder}")
        return 0
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _export(options: argparse.Namespace) -> int:
    print(export(_existing(options.run, "export"), options.checkpoint, options.to))
    return 0


def _push(options: argparse.Namespace) -> int:
    from huggingface_hub import get_token  # here, as it takes a while

    from training.publish.hub import push

    private, token = not options.public, get_token() or ""
    run = _existing(options.run, "push")
    print(push(run, options.checkpoint, options.repo, token, private=private, overwrite=options.overwrite))
    return 0


def _job(options: argparse.Namespace) -> int:
    from huggingface_hub import get_token

    from training.hosted.jobs import job_for, price_of, send

    config = _config(options)
    job = job_for(
        config,
        options.push_to,
        rates=_swept(options, config) if options.sweep or options.rates else (),
        flavor=options.flavor,
        timeout=options.timeout,
        image=options.image,
        private=not options.public,
        overwrite=options.overwrite,
    )
    if price := price_of(job.flavor, job.timeout):
        print("${hour} an hour, at most ${most} until the timeout".format(**price.in_dollars()), file=sys.stderr)
    print(json.dumps(job.shown(), indent=2, ensure_ascii=False) if options.dry_run else send(job, get_token() or ""))
    return 0


def _swept(options: argparse.Namespace, config: RunConfig) -> tuple[float, ...]:
    rates = _rates(options.rates) if options.rates else recipe_named(config.recipe).sweep
    if not rates:
        text = "recipe {name} has no learning rates to sweep; pass --rates 0.001,0.003,0.01"
        raise ConfigError(message("no_rates", text, name=config.recipe))
    return tuple(rates)


def _config(options: argparse.Namespace) -> RunConfig:
    given = {name: value for name in FACTS if name != "recipe" and (value := getattr(options, name)) is not None}
    typed = {name: value if isinstance(value, bool) else parse_field(name, value) for name, value in given.items()}
    config = recipe_named(options.recipe or "adamw").config(**typed)
    if options.recipe is None and options.data is None:
        text = "nothing says what to train: pass --data, or --recipe, or both; --help lists the recipes"
        raise ConfigError(message("nothing_to_train", text))
    return config


def _rates(text: str) -> tuple[float, ...]:
    return tuple(sorted({parse_field("lr", part) for part in text.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Fine-tune or train a Vision Transformer.")
    commands = parser.add_subparsers(required=True, metavar="run|resume|sweep|list|export|push|job")
    for name, command, what in (
        ("run", _run, "train by a recipe; Ctrl-C stops with a checkpoint"),
        ("sweep", _sweep, "try learning rates on a held-out part, then train on all of it with the best"),
        ("job", _job, "train on a machine of Hugging Face Jobs, which costs money, and push the result to the Hub"),
    ):
        one = commands.add_parser(name, help=what, description=what, argument_default=None)
        one.set_defaults(command=command)
        if name == "job":
            _add_job_flags(one)
        else:
            one.add_argument("--out", metavar="RUN_DIR", type=Path, help="new folder; default: one in ./runs")
            one.add_argument("--name", help="what people call the run")
        one.add_argument("--recipe", help=f"one of {', '.join(RECIPES)}; default, with --data: adamw")
        if name != "run":
            one.add_argument("--rates", metavar="R,R,...", help="learning rates to try; default: the recipe's")
        group = one.add_argument_group("fields of the recipe", "training/config.py explains them in full")
        for field, facts in FACTS.items():
            _add_flag(group, field, facts)
    one = commands.add_parser("resume", help="go on from the last checkpoint of a run that stopped or failed")
    one.set_defaults(command=_resume)
    one.add_argument("run", metavar="RUN_DIR", type=Path)
    one.add_argument("--data", help="where its data are now, if they have moved")
    one.add_argument("--changed-data", action="store_true", help="go on though its data have changed")
    one = commands.add_parser("list", help="the runs in a folder")
    one.set_defaults(command=_list)
    one.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="default: VIT_EXPLORER_RUNS, or ./runs")
    export = commands.add_parser("export", help="copy a checkpoint with its model card, as a Hugging Face folder")
    export.set_defaults(command=_export)
    export.add_argument("run", metavar="RUN_DIR", type=Path)
    export.add_argument("--to", metavar="FOLDER", type=Path, required=True)
    push = commands.add_parser("push", help="upload a checkpoint with its model card; the token is `hf auth login`'s")
    push.set_defaults(command=_push)
    push.add_argument("run", metavar="RUN_DIR", type=Path)
    push.add_argument("--repo", metavar="OWNER/NAME", required=True)
    push.add_argument("--public", action="store_true", help="let others see it; default: private")
    push.add_argument("--overwrite", action="store_true", help="replace its files where the repository exists")
    for one in (export, push):
        one.add_argument("--checkpoint", metavar="best|last|STEP", help="default: best, or last where there is no best")
    return parser


def _add_job_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a Job. Their defaults repeat those of training.hosted.jobs, which takes a while to import."""
    parser.add_argument("--push-to", metavar="OWNER/NAME", required=True, help="repository for the checkpoint")
    parser.add_argument("--flavor", default="a10g-small", help="machine, see `hf jobs hardware`; default: a10g-small")
    parser.add_argument("--timeout", default="2h", help="it is ended then; 90m, 2h, 1d; default: 2h")
    parser.add_argument("--image", default="python:3.12", help="container with Python 3.11+, pip and git")
    parser.add_argument("--sweep", action="store_true", help="try the recipe's learning rates first")
    parser.add_argument("--public", action="store_true", help="let others see the repository; default: private")
    parser.add_argument("--overwrite", action="store_true", help="replace its files where the repository exists")
    parser.add_argument("--dry-run", action="store_true", help="print the request, with the token masked, and end")


def _add_flag(group: Any, name: str, facts: FieldFacts) -> None:
    """A field's flag. Its value is checked with the others, by RunConfig."""
    if name == "recipe":
        return
    flag, what = "--" + name.replace("_", "-"), facts.label + (f": {facts.help}" if facts.help else "")
    if choices := choices_of(name):
        what += f" ({', '.join(choices)})"
    what = what.replace("%", "%%")
    if is_switch(name):
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=what)
    else:
        group.add_argument(flag, metavar=name.upper(), help=what)


if __name__ == "__main__":
    code = main()
    if WORLD > 1:  # torch's threads of a group now and then abort a process that ends by itself, with its work done
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
