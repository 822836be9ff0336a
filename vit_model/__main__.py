"""`python -m vit_model inspect SOURCE`: what a checkpoint is, and what becomes of every tensor in it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from itertools import islice

from vit_model.checkpoints.loading import Inspection, inspect_model


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on stderr where the source cannot be loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m vit_model", description="Look inside Vision Transformer checkpoints."
    )
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "inspect", help="format, config, preprocessing, labels, and every tensor accounted for"
    )
    command.add_argument("source", help='"bundled", a Hub id, a folder, or a .safetensors, .npz, .pth or .bin file')
    command.add_argument(
        "--image-size", type=int, nargs="+", metavar="PIXELS", help="one size, or height and width; default: the usual"
    )
    command.add_argument(
        "--interpolation", help="how positions are resampled; default: as the checkpoint's library does"
    )
    command.add_argument("--heads", type=int, help="attention heads, for files that do not tell")
    options = parser.parse_args(arguments)
    size = options.image_size
    if size is not None and len(size) > 2:
        parser.error("--image-size takes one size, or height and width")
    try:
        inspection = inspect_model(
            options.source,
            image_size=size[0] if size and len(size) == 1 else size,
            interpolation=options.interpolation,
            heads=options.heads,
            progress=_progress if sys.stderr.isatty() else None,
        )
    except ValueError as error:  # CheckpointError, and sizes or schemes that cannot be
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(report(inspection))
    return 0


def report(inspection: Inspection) -> str:
    """The text that `inspect` prints."""
    model = inspection.model
    origin, config = model.origin, model.config
    shown = ", ".join(islice(model.labels, 5))
    more = f", ... ({len(model.labels):,} in all)" if len(model.labels) > 5 else ""
    about = {
        "source": origin.source,
        "format": origin.format,
        "sha256": origin.checksum,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "grid": f"{config.grid[0]}x{config.grid[1]} patches, {config.tokens} tokens",
        "positions": f"resampled as {origin.interpolation!r} where the size changes",
        "labels": shown + more if model.labels else "none: the model has no classifier",
    }
    lines = [*_table("checkpoint", about)]
    lines += _table("config", {field.name: _words(getattr(config, field.name)) for field in fields(config)})
    steps = model.preprocessing
    lines += _table("preprocessing", {field.name: _words(getattr(steps, field.name)) for field in fields(steps)})
    if origin.notes:
        lines += ["notes", *(f"  - {note}" for note in origin.notes), ""]
    dropped = sum(what.startswith("dropped: ") for what in inspection.keys.values())
    title = f"tensors: {len(inspection.keys)}, of which {len(inspection.keys) - dropped} used and {dropped} dropped"
    lines += _table(title, inspection.keys, arrow=" -> ")
    return "\n".join(lines)


def _table(title: str, rows: dict[str, str], arrow: str = "  ") -> list[str]:
    width = max(map(len, rows), default=0)
    return [title, *(f"  {name:<{width}}{arrow}{value}" for name, value in rows.items()), ""]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return (
            " x ".join(map(str, value)) if all(isinstance(part, int) for part in value) else ", ".join(map(str, value))
        )
    return str(value)


def _progress(done: int, total: int, name: str) -> None:
    print(f"\r{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB ", end="\n" if done >= total else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
