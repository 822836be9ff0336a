"""Tab: what the page needs to know of each of its tabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component


@dataclass(frozen=True)
class Tab:
    """One tab, built inside an open `gr.Blocks`.

    - `show(scene, request, *inputs) -> values for outputs`: everything the tab displays of one scene.
    - `show_later(scene, request, *inputs, progress) -> values for later_outputs`: what takes longer, after the first
      output has changed; `progress` is a `gr.Progress`.
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
    show_later: Callable[..., Sequence] | None = None
