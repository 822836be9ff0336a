"""The laboratory's three views: the bench where things are changed, the parts of the model, and what came of it.

They talk in the browser by `vit:lab` events on `document`; Python hears of changes by the bench's `edit` event alone.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from explorer.viewer.kit.component import Component
from explorer.viewer.kit.files import cached_file
from explorer.viewer.matrix.viewer import STYLE


def picture_file(picture: Image.Image) -> dict[str, Any]:
    """A picture without loss, since single patches will be looked at, as a file of the app's cache."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "PNG", compress_level=1)
    return cached_file(data.getvalue(), "picture.png")


class _View(Component):
    css, words = (STYLE, "view.css"), "view.words.json"


class LaboratoryBench(_View):
    """Where patches are selected and changed, positions, resolution and class chosen, and steps undone.

    Value: {"seq", "picture": file, "grid", "layers", "heads", "head": whether it has one, "labels": names or None
    where there are too many, "methods": [[name, caption], ...]}. Event, its data to be validated: `edit` {"edits": what
    `edits.read_wish` reads, "layer": whose attention is looked at, or null}.
    """

    html, script, script_events = "view.html", "view.js", ("edit",)


class LaboratoryParts(_View):
    """Every head, MLP and layer as a switch, coloured by what the class loses without it.

    Value: {"seq", "layers", "heads", "head", "ablation": None or {"label", "logit", "probability", "logits",
    "probabilities": [L][H + 2] with None where not known yet, "done", "total", "of": the edits that it was asked for,
    "changed": whether they change anything}}. Events: `ablate` {"edits": as the bench's}, and `stop`.
    """

    html, script, script_events = "parts.html", "parts.js", ("ablate", "stop")


class LaboratoryOutcome(_View):
    """Prediction and maps before and after.

    Value: {"seq", "scene": its key, "new": true where the scene is (else an outcome of another scene is left aside),
    "caption", "top": [before, after] of [label, probability], "watched": None or {"label", "logits", "probabilities":
    [before, after]}, "pictures": two files, "grids": two, "dropped": places, "maps": {name: {"before", "after",
    "difference"}}, "attention": the same for each layer, None where it was not asked for, "carried": None or {"steps":
    of another grid, carried over to this one, "moves", "unseen": how many could not be}, "note", "of": the edits as
    they were asked for, none where nothing is changed}; null in a map where nothing is.
    """

    html, script = "outcome.html", "outcome.js"
