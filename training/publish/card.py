"""model_card: the README.md of a checkpoint's Hugging Face repository. Standard library only: it reads the folder of
the run, and loads no model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import command
from training.config import RunConfig
from training.publish.card_tables import confusion_section, data_section
from training.publish.curves import curves_svg, line, marks
from training.publish.markdown import escaped, front_matter, table
from training.publish.outcome import Outcome, outcomes
from training.recipes import RECIPES
from training.runs.metrics import MetricEvent
from training.runs.record import CheckpointInfo, Record, is_number, printable
from training.storage.jsonfile import read_json

CURVES = "curves.svg"


def model_card(run: Record, checkpoint: CheckpointInfo, repo_id: str | None = None) -> str:
    """Write the text of README.md for a folder with `checkpoint`: front matter, results, recipe, curves, data,
    confusions, how to use it, time and machine. `repo_id`: where it is going to be, for the examples. Whatever the run
    does not know is left out.

    Names of classes, pictures and files are shown as they are, never acted upon; of paths only the last part is told.
    """
    config, curve = run.config, run.curve()
    saved = _saved(checkpoint.path)
    measured = outcomes(run, checkpoint, curve)
    parts = [
        front_matter(_metadata(run, config, saved, measured, repo_id)),
        f"# {escaped(run.name)}",
        _introduction(run, config, checkpoint, saved),
        "## Results",
        _results(config, measured),
        "## How to use it",
        _use(saved, repo_id or "FOLDER"),
        "## Recipe",
        _recipe(run, config),
    ]
    if curve:
        parts += ["## Curves", _curves(curve)]
    parts += ["## Data", data_section(run, config)]
    if shown := next((one for one in reversed(measured) if one.confusion), None):
        parts += ["## Confusions", confusion_section(shown)]
    parts += ["## Training", _training(run, curve, checkpoint), "## Limits", _limits(config, measured)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_card(run: Record, checkpoint: CheckpointInfo, folder: Path, repo_id: str | None = None) -> None:
    """Write README.md, and curves.svg if there are curves."""
    (folder / "README.md").write_text(model_card(run, checkpoint, repo_id), encoding="utf-8")
    drawing = curves_svg(run.curve())
    if drawing is not None:
        (folder / CURVES).write_text(drawing, encoding="utf-8")


def _saved(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / "config.json") or {}
    except ValueError:
        return {}


def _library(saved: dict[str, Any]) -> str:
    own = {"vit_explorer": "vit_explorer", "resnet18": "torchvision"}
    return own.get(str(saved.get("model_type")), "transformers")


def _metadata(
    run: Record, config: RunConfig, saved: dict[str, Any], measured: Sequence[Outcome], repo_id: str | None
) -> dict[str, Any]:
    """Return the front matter. No licence is named: whoever publishes the model knows those of the data and the
    weights."""
    library = _library(saved)
    kind = "resnet" if library == "torchvision" else "vision-transformer"
    values: dict[str, Any] = {
        "library_name": library,
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", kind, "vit-explorer"],
        "metrics": ["accuracy"],
    }
    if base := command.base_model(config):
        values["base_model"] = base
    data = command.public_name(config.data)
    if config.data.startswith("hf:"):
        values["datasets"] = [config.data.removeprefix("hf:").partition("@")[0]]
    if measured:
        kind = data if config.data in command.NAMED else "imagefolder"
        results = [
            {
                "task": {"type": "image-classification", "name": "Image classification"},
                "dataset": {"name": data, "type": kind, "split": one.split},
                "metrics": [{"type": "accuracy", "value": round(one.accuracy, 6), "name": f"accuracy, {one.where}"}],
            }
            for one in measured
        ]
        values["model-index"] = [{"name": repo_id or run.name, "results": results}]
    return values


def _introduction(run: Record, config: RunConfig, checkpoint: CheckpointInfo, saved: dict[str, Any]) -> str:
    labels = saved.get("id2label")
    count = f"{len(labels)} classes" if isinstance(labels, dict) else "classes"
    what = "A ResNet-18" if _library(saved) == "torchvision" else "A Vision Transformer"
    base, new = command.base_model(config), config.model.startswith("new:") or config.model == "resnet18"
    begun = f"[{escaped(base)}](https://huggingface.co/{base})" if base else escaped(command.public_name(config.model))
    origin = "from scratch" if new else f"starting from {begun}"
    which = {(True, True): "best and last", (True, False): "best", (False, True): "last"}.get(
        (checkpoint.best, checkpoint.last), "a"
    )
    article = "the " if which != "a" else ""
    return (
        f"{what} that tells {count} of **{escaped(command.public_name(config.data))}** apart, trained {origin} with "
        f"ViT Explorer. This is {article}{which} checkpoint of its run, after step {checkpoint.step:,}."
    )


def _results(config: RunConfig, measured: Sequence[Outcome]) -> str:
    if not measured:
        return "This checkpoint has not been measured on pictures that it was not trained on."
    rows = [
        [
            "held-out part" if one.split == "val" else "test set",
            f"{one.count:,}" if one.count else "—",
            f"{one.loss:.4f}" if one.loss is not None else "—",
            f"**{one.accuracy:.2%}**",
        ]
        for one in measured
    ]
    said = table(["measured on", "pictures", "loss", "accuracy"], rows)
    recipe = RECIPES.get(config.recipe)
    published = recipe.published.get((config.data, config.model)) if recipe else None
    return said + (f"\n\nPublished for this recipe, data set and model: {published:.2%}." if published else "")


def _recipe(run: Record, config: RunConfig) -> str:
    recipe = RECIPES.get(config.recipe)
    said = []
    if recipe:
        said.append(f"`{recipe.name}`. Source: {escaped(recipe.source, 400)}.\nExpected: {recipe.expected}.")
    rows = [
        [f"`{name}`", escaped(command.written(theirs)), escaped(command.written(ours))]
        for name, (theirs, ours) in command.differences(config).items()
    ]
    if rows:
        said.append("Every field in which this run differs from it:" if recipe else "Fields that were set:")
        said.append(table(["field", "recipe" if recipe else "default", "this run"], rows))
    elif recipe:
        said.append("This run changed nothing of it.")
    if sweep := _sweep(run):
        said.append(sweep)
    public = config.having(data=command.public_name(config.data), model=command.public_name(config.model))
    words = ["python", "-m", "training", *command.run_words(public, run.sweep)]
    said.append("The same run from a terminal:\n\n" + _fenced("sh", printable(shlex.join(words))))
    return "\n\n".join(said)


def _sweep(run: Record) -> str:
    told = run.read("sweep.json")
    rates, accuracies = told.get("rates"), told.get("accuracies")
    if not (isinstance(rates, list) and isinstance(accuracies, list) and all(map(is_number, rates))):
        return ""
    rows = [
        [f"{rate:g}", f"{reached:.2%}" if is_number(reached) else "broke down", "chosen" * (rate == told.get("best"))]
        for rate, reached in zip(rates, accuracies, strict=False)
    ]
    head = ["learning rate", "held-out accuracy", ""]
    return "Learning rates were tried on a held-out part of the training set first:\n\n" + table(head, rows)


def _curves(curve: Sequence[MetricEvent]) -> str:
    losses = dict(line(curve, "train", "loss"))
    rates = dict(line(curve, "train", "lr"))
    rows = []
    for event in marks(curve):
        held = event.values if event.split == "val" else {}
        rows.append(
            [
                f"{event.step:,}",
                f"{event.epoch:.2f}",
                _number(_at(losses, event.step), ".4f"),
                _number(held.get("loss"), ".4f"),
                _number(held.get("accuracy"), ".2%"),
                _number(_at(rates, event.step), ".2e"),
            ]
        )
    head = ["step", "epoch", "training loss", "held-out loss", "held-out accuracy", "learning rate"]
    return f"![Loss and accuracy over the steps]({CURVES})\n\n{table(head, rows)}"


def _at(values: dict[int, float], step: int) -> float | None:
    """Return the last value up to `step`."""
    return values.get(max((one for one in values if one <= step), default=-1))


def _use(saved: dict[str, Any], repo_id: str) -> str:
    if _library(saved) == "transformers":
        return (
            _fenced(
                "python",
                "from transformers import pipeline\n\n"
                f'classify = pipeline("image-classification", model="{repo_id}")\n'
                'print(classify("photo.jpg"))',
            )
            + "\n\nWith ViT Explorer's own loader, or picked by name on its page:\n\n"
            + _load_model(repo_id)
        )
    if _library(saved) == "torchvision":
        return "The weights have torchvision's own names, which `transformers` does not read:\n\n" + _fenced(
            "python",
            "from safetensors.torch import load_file\nfrom torchvision.models import resnet18\n\n"
            f"model = resnet18(num_classes={len(saved.get('id2label') or ())})\n"
            'model.load_state_dict(load_file("model.safetensors"))\nmodel.eval()',
        )
    why = escaped(saved.get("why_not_transformers") or "its shape", 300)
    return (
        f"`transformers` has no family that can hold this model ({why}), ViT Explorer does:\n\n{_load_model(repo_id)}"
    )


def _load_model(repo_id: str) -> str:
    return _fenced(
        "python",
        "from PIL import Image\nfrom vit_model import load_model\n\n"
        f'model = load_model("{repo_id}")\n'
        'pixels, box = model.preprocess(Image.open("photo.jpg"))\n'
        "print(model.labels[model(pixels).argmax()])",
    )


def _training(run: Record, curve: Sequence[MetricEvent], checkpoint: CheckpointInfo) -> str:
    rows = []
    seconds = max((event.seconds for event in curve if event.step <= checkpoint.step), default=None)
    if seconds is not None:
        rows.append(["training time", f"{_span(seconds)} up to this checkpoint"])
    speeds = sorted(value for _, value in line(curve, "train", "images_per_second") if value > 0)
    if speeds:
        rows.append(["speed", f"{speeds[len(speeds) // 2]:,.0f} pictures a second (median)"])
    told = run.read("machine.json")
    if isinstance(told.get("device"), str):
        processes = told.get("processes")
        several = f", {processes} processes" if type(processes) is int and processes > 1 else ""
        threads = f", {told['threads']} threads" if type(told.get("threads")) is int and not several else ""
        rows.append(["device", escaped(told["device"]) + (several or threads)])
    versions = told.get("versions")
    if isinstance(versions, dict):
        named = ", ".join(f"{escaped(name)} {escaped(version)}" for name, version in versions.items())
        rows.append(["versions", named])
    rows.append(["seed", str(run.config.seed)])
    return table(["", ""], rows, numbers=False)


def _limits(config: RunConfig, measured: Sequence[Outcome]) -> str:
    said = ["- A picture of anything else than these classes still gets one of them, sometimes with confidence."]
    if not any(one.split == "test" for one in measured):
        said.append("- It has not been measured on a test set.")
    if any(one.split == "val" for one in measured) and config.held_out:
        said.append("- The held-out part chose this checkpoint, so accuracy on it is somewhat flattered.")
    said.append("- No licence is set in this card: name one that suits the data and the weights that it began with.")
    return "\n".join(said)


def _fenced(language: str, words: str) -> str:
    fence = "```"
    while fence in words:
        fence += "`"
    return f"{fence}{language}\n{words}\n{fence}"


def _number(value: float | None, spec: str) -> str:
    return "—" if value is None or value != value else format(value, spec)


def _span(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
