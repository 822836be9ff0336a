"""Named endpoints for `gradio_client`, each documented on the API page by its docstring."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from explorer.analysis.attention import attention_columns, attention_rows
from explorer.analysis.explain.classes import class_index
from explorer.analysis.explain.methods import METHODS, method_of
from explorer.analysis.faithfulness.leaderboard import BASELINES
from explorer.analysis.position import position_similarity
from explorer.figures.export import manifest_for
from explorer.session.explaining import check_work, explained
from explorer.session.scenes import ModelChoice, Scene, get_model, parse_size, resized, scene_of
from explorer.session.turns import check_wanted
from explorer.tabs.faithfulness.tab import AT_ONCE, measure
from explorer.tabs.faithfulness.values import MAX_STEPS, Asked, arrays_of
from explorer.ui.errors import plain_api_errors
from explorer.ui.events.progress import follow_progress
from explorer.ui.manifest import saved_npz
from explorer.ui.model_picker import hub_reason, public_source
from explorer.ui.picture import Picture
from explorer.ui.visitors.arguments import json_object, whole
from explorer.ui.visitors.hub_token import token_for
from explorer.ui.visitors.local_request import is_local
from vit_model import VisionTransformer
from vit_model.checkpoints.known import BUNDLED
from vit_model.errors import HubError, UnknownSourceError, quoted
from vit_model.positions import METHODS as RESAMPLING

LINED_UP = 16  # calls of one endpoint that take turns: no quick one stands in Gradio's queue behind slow ones


def endpoints(local_paths: bool, opened: str = BUNDLED) -> None:
    """Add /predict, /attention, /explain, /faithfulness and /positions to the open `gr.Blocks`, on hidden components.
    `opened`: the model that the page opens with."""

    def source(model: str, request: gr.Request) -> str:
        name = (model or "").strip()
        here = local_paths and is_local(request) and os.path.exists(os.path.expanduser(name))
        return name if here else public_source(name)

    def choice_of(model: str, request: gr.Request) -> tuple[ModelChoice, VisionTransformer]:
        host = local_paths and is_local(request)
        choice = ModelChoice(source(model, request), model, token=token_for(model or "", request, host, opened))
        try:
            return choice, get_model(choice, lambda done, total, file: check_wanted())
        except HubError as error:
            raise ValueError(hub_reason(error, request, local_paths)) from error
        except UnknownSourceError as error:
            expected = f'"{BUNDLED}" or a Hub id such as "google/vit-base-patch16-224" ("owner/name@revision")'
            raise ValueError(f"model must be {expected}; got {quoted(model)}") from error

    def scene(model: str, picture: str | None, size: str, request: gr.Request) -> Scene:
        if not picture:
            raise ValueError("send a picture: handle_file(path or URL)")
        choice, native = choice_of(model, request)
        return scene_of(replace(choice, size=parse_size(size, native.config.patch_size)), picture)

    @plain_api_errors
    def predict(request: gr.Request, model: str, picture: str, size: str, top: float) -> dict:
        """The most probable labels of a picture.

        model: "bundled" or a Hugging Face id; picture: a file; size: "native", one number or height x width in pixels;
        top: how many labels. Returns {"model", "format", "checksum", "grid", "top": [{"label", "probability"}, ...]}.
        """
        seen = scene(model, picture, size, request)
        return _about(seen) | {
            "top": [{"label": name, "probability": p} for name, p in seen.top(whole("top", top, 1, 1000))]
        }

    @plain_api_errors
    def attention(
        request: gr.Request, model: str, picture: str, size: str, layer: float, query: float, direction: str
    ) -> dict:
        """Attention of one token in every head of one layer.

        layer: from 0, or -1 for the last; query: token number (0 is the class token where there is one, patches follow
        row by row after the prefix); direction: "to" (what it attends to) or "by" (what attends to it).
        Returns {"heads": [heads][tokens], "grid", "prefix", "layer", "query", "direction", ...}.
        """
        seen = scene(model, picture, size, request)
        rows = {"to": attention_rows, "by": attention_columns}
        if direction not in rows:
            raise ValueError(f"direction must be 'to' or 'by', got {quoted(direction)}")
        depth = seen.trace.layers
        layer, query = whole("layer", layer, -depth, depth - 1), whole("query", query, 0, seen.trace.tokens - 1)
        values = rows[direction](seen.trace, layer, query).cpu().tolist()
        chosen = {"layer": layer, "query": query, "direction": direction}
        return _about(seen) | chosen | {"prefix": seen.trace.prefix, "heads": values}

    @plain_api_errors
    def explain_picture(
        request: gr.Request, model: str, picture: str, size: str, method: str, target: str, choices: str, against: str
    ) -> dict:
        """One explanation of a picture as a map over its patches.

        target: a class number, a label, or empty for the predicted class; methods that look at no class, such as
        rollout, leave it aside and return null there; against: likewise, the class that it is held against ("why this
        and not that"), or empty for none; choices: a JSON object of the method's own choices, such
        as {"head_fusion": "max", "discard_ratio": 0.9}.
        Returns {"method", "target", "against", "signed", "values": [rows][columns], ...}.
        """
        seen = scene(model, picture, size, request)
        options = json_object("choices", choices)
        try:
            method_of(method).check_names(options)  # before they could be taken for arguments of our own
            if (other := _class(seen, against)) is not None:
                options["against"] = other
            found = explained(seen, method, _class(seen, target), **options)
        except TypeError as error:  # a choice of the wrong kind, such as a text where a number belongs
            raise ValueError(f"choices of {method} do not fit: {error}") from error
        return _about(seen) | {
            "method": found.method,
            "target": found.target,
            "against": found.against,
            "signed": found.signed,
            "values": found.values.tolist(),
        }

    @plain_api_errors
    def faithfulness(
        request: gr.Request,
        model: str,
        picture: str,
        size: str,
        target: str,
        methods: list[str],
        steps: float,
        value: str,
    ) -> Iterator[tuple[dict, str | None]]:
        """How true each method's map of a picture is: patches are left out in its order, and the class is watched.

        target: a class number, a label, or empty for the predicted class; methods: names such as ["rollout"], or none
        for all; steps: points of a curve after the first, 1 to 40; value: "probability" or "logit" of the class.
        Returns, as the tab "Is the map true?" measures it, ({"target", "label", "ranking": [{"method", "baseline",
        "gap", "positive", "negative", "positive_first", "negative_first"}, ...], the largest gap first, "refused":
        {method: reason}, ...}, an NPZ file of the curves and maps with a manifest). The baselines are "random" and
        "sobel". Until it is done it yields ({"done": share of the work}, null), and it can be cancelled.
        """
        seen = scene(model, picture, size, request)
        asked = Asked.of(seen, target, _methods(methods), whole("steps", steps, 1, MAX_STEPS), value)
        for method in asked.methods:
            check_work(seen, method, {})
        if not asked.found.measured:
            for _ in follow_progress(partial(measure, asked), 1.0):
                yield {"done": asked.found.board.done if asked.found.board else 0.0}, None
        arrays, choices = arrays_of(asked)
        manifest = manifest_for(seen.model, seen.picture_hash, view="truth", **choices)
        manifest["model"] = seen.name
        yield _about(seen) | choices | _judged(asked), saved_npz("faithfulness", arrays, manifest)

    @plain_api_errors
    def positions(request: gr.Request, model: str, size: str, interpolation: str, kind: str) -> str:
        """Similarity of position embeddings, [gh, gw, gh, gw], as an NPZ file with a manifest.

        size: "native", one number or height x width in pixels; interpolation: how positions are resampled, or empty for
        the scheme of the checkpoint's origin; kind: "cosine" or "dot".
        """
        if interpolation and interpolation not in RESAMPLING:
            raise ValueError(
                f"interpolation must be one of {', '.join(RESAMPLING)}, or empty; got {quoted(interpolation)}"
            )
        _, native = choice_of(model, request)
        chosen = parse_size(size, native.config.patch_size)
        sized = native if chosen is None else resized(native, chosen, interpolation or None)
        values = position_similarity(sized, kind=kind).cpu().numpy()
        manifest = manifest_for(sized, None, view="positions", kind=kind, interpolation=interpolation)
        manifest["model"] = model
        return saved_npz("positions", {"similarity": values}, manifest)

    model = gr.Textbox("bundled", label="model", visible=False)
    picture = Picture(type="filepath", image_mode=None, label="picture", visible=False)
    size = gr.Textbox("native", label="size", visible=False)
    seen_as = [model, picture, size]
    hidden: dict[str, Any] = {"visible": False}
    method = gr.Dropdown(list(METHODS), value="rollout", label="method", allow_custom_value=True, **hidden)
    measuring = {"concurrency_id": "truth", "concurrency_limit": AT_ONCE}  # with those of the page
    for function, name, inputs, output, queue in (
        (
            predict,
            "predict",
            [*seen_as, gr.Number(5, label="top", **hidden)],
            gr.JSON(**hidden),
            {"concurrency_limit": LINED_UP},
        ),
        (
            attention,
            "attention",
            [
                *seen_as,
                gr.Number(-1, label="layer", **hidden),
                gr.Number(0, label="query", **hidden),
                gr.Textbox("to", label="direction", **hidden),
            ],
            gr.JSON(**hidden),
            {"concurrency_limit": LINED_UP},
        ),
        (
            explain_picture,
            "explain",
            [
                *seen_as,
                method,
                gr.Textbox("", label="target", **hidden),
                gr.Textbox("{}", label="choices", **hidden),
                gr.Textbox("", label="against", **hidden),
            ],
            gr.JSON(**hidden),
            {"concurrency_limit": LINED_UP},
        ),
        (
            faithfulness,
            "faithfulness",
            [
                *seen_as,
                gr.Textbox("", label="target", **hidden),
                gr.Dropdown(
                    list(METHODS), value=[], multiselect=True, label="methods", allow_custom_value=True, **hidden
                ),
                gr.Number(20, label="steps", **hidden),
                gr.Textbox("probability", label="value", **hidden),
            ],
            [gr.JSON(**hidden), gr.File(**hidden)],
            measuring,
        ),
        (
            positions,
            "positions",
            [
                model,
                size,
                gr.Textbox("", label="interpolation", **hidden),
                gr.Textbox("cosine", label="kind", **hidden),
            ],
            gr.File(**hidden),
            {},
        ),
    ):
        gr.Button(visible=False).click(function, inputs, output, api_name=name, **queue)


def _methods(named: list[str] | None) -> list[str]:
    """Check the names of methods that a client sends; ValueError for an unknown one."""
    for name in named if isinstance(named, list) else [] if named is None else [named]:
        if not isinstance(named, list) or not isinstance(name, str) or name not in METHODS:
            raise ValueError(f"methods must be among {', '.join(METHODS)}, in a list; got {quoted(name)}")
    return named or []


def _judged(asked: Asked) -> dict:
    """Return the leaderboard, the best first, and the methods that cannot explain this model or picture."""
    board = asked.found.board
    assert board is not None and board.curves is not None  # measured to the end
    names, areas = board.curves.names, board.curves.areas
    ranking = [
        {"method": names[row], "baseline": names[row] in BASELINES}
        | {kind: float(values[row]) for kind, values in areas.items()}
        for row in board.ranking
    ]
    return {"ranking": ranking, "refused": {method: str(reason) for method, reason in board.refused.items()}}


def _about(seen: Scene) -> dict:
    origin = seen.model.origin
    known: dict[str, Any] = {"model": seen.name, "format": origin.format, "checksum": origin.checksum}
    if seen.choice.size is None and origin.own_size:  # opened smaller: `grid` is not the one that its files ask for
        known["own_size"] = list(origin.own_size)
    return known | {"picture_hash": seen.picture_hash, "grid": list(seen.trace.grid)}


def _class(seen: Scene, named: str | None) -> int | None:
    """Find the class that a client names: a label, a number in digits, or nothing."""
    return class_index(seen.model, named) if named and named.strip() else None
