"""Tab: what the page needs to know of each of its tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component


@dataclass(frozen=True)
class Tab:
    """One tab, built inside an open `gr.Blocks`.

    - `show(scene, request, *inputs) -> values for outputs`: everything the tab displays of one scene.
    - `classes`: dropdowns of the model's classes, which the page lists where it has not: 21,000 are a megabyte.
    - `show_later(scene, request, *inputs)`: yields values for `later_outputs`: what takes longer, after the first
      output has changed. A click on `stop`, one of them, ends it, and `stopped(request)` gives values in its place.
    - `arrays(scene, state, *inputs) -> (arrays, choices)`: the same as numbers, to be saved; `state` is what the
      browser says of the tab's viewer (layer, panel, query, direction), to be validated.
    """

    name: str
    item: gr.Tab
    outputs: Sequence[Component]
    show: Callable[..., Sequence]
    arrays: Callable[..., tuple[dict, dict]]
    inputs: Sequence[Component] = ()
    later_outputs: Sequence[Component] = ()
    show_later: Callable[..., Iterator[Sequence]] | None = None
    stop: gr.Button | None = None
    stopped: Callable[[gr.Request], Sequence] | None = None
    classes: Sequence[Component] = ()
