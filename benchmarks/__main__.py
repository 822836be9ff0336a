"""`python -m benchmarks NAME [options]`: side-by-side measurements; `python -m benchmarks NAME --help` says which."""

from __future__ import annotations

import importlib
import sys

NAMES = {
    "explain": "methods of explanation against a forward pass, captum, pytorch-grad-cam and stored attention",
    "explore": "the forward pass, analyses, memory and start-up of the explorer",
    "faithfulness": "which method's maps are true: deletion and insertion over a folder of pictures",
    "gpu": "the GPU rows of explore, explain and train, then tests/gpu, within 8 minutes in all",
    "hover": "the viewer in a real browser: packing, hovering, waiting times",
    "load": "64 visitors with pictures of their own: waiting times, errors, memory of the server",
    "train": "a training step against timm in a plain loop and transformers' Trainer",
    "visits": "what visitors leave behind: the page's bytes, memory after many pictures, a session's time",
    "watch": "what it costs to watch a run: the server's time, a browser's memory",
}
"""Each is a module of this package with `main(words: list[str]) -> None`."""


def main(words: list[str]) -> None:
    if not words or words[0] not in NAMES:
        listed = "\n".join(f"  {name:12} {text}" for name, text in NAMES.items())
        asked_for_help = words[:1] in (["-h"], ["--help"])
        print(
            f"usage: python -m benchmarks NAME [options]\n\n{listed}", file=sys.stdout if asked_for_help else sys.stderr
        )
        sys.exit(0 if asked_for_help else 2)
    importlib.import_module(f"benchmarks.{words[0]}").main(words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
