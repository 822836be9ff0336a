"""The Explain tab: why the model names a class, or that class and not another, as every method of METHODS sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import gradio as gr
from gradio.components import Component

from explorer.analysis.explain.classes import chosen_classes
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.methods import METHODS
from explorer.session.explaining import explained, is_explained
from explorer.session.scenes import ModelChoice, Scene, scene_of
from explorer.tabs.explain import choices as explain_choices
from explorer.tabs.explain.choices_box import build_box
from explorer.tabs.explain.view import ExplainViewer, explain_value
from explorer.ui.class_choice import instead, named_class
from explorer.ui.errors import plain_errors, reason_of
from explorer.ui.events.progress import follow_progress, only_changes
from explorer.ui.events.request_order import asker
from explorer.ui.events.stale_work import CURRENT_WORK, stop_handler
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.words import TEXT, say, say_both, words


def build(choice: Component, picture: Component) -> Tab:
    """`choice`, `picture`: the page's own, of which the slow methods make their maps."""
    with gr.Tab(words("tab_explain"), id="explain", elem_id="tab-explain") as item:
        with gr.Row(elem_id="explain-classes"):
            target, against = (
                gr.Dropdown(
                    [],
                    value=None,
                    label=words(f"explain_{role}"),
                    info=words(f"explain_{role}_info"),
                    allow_custom_value=True,
                    min_width=220,
                    elem_id=f"explain-{role}",
                )
                for role in ("target", "against")
            )
        viewer = ExplainViewer(elem_id="explain", choices_prefix="explain-of-")
        controls = explain_choices.build()
        choices = build_box(controls)
        with gr.Row(elem_id="explain-slow"):
            small = {"size": "sm", "scale": 0}
            run = gr.Button(words("explain_run"), min_width=240, elem_id="explain-run", **small)
            stop = gr.Button(words("explain_stop"), min_width=120, visible=False, elem_id="explain-stop", **small)
            status = gr.Markdown(elem_id="explain-status")
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_explain"), elem_classes="about")
    inputs = [target, against, choices]
    keys = tuple(controls)

    seen = [choice, picture, *inputs]
    shown, in_place = [status, run, stop], {"api_visibility": "private", "queue": False, "show_progress": "hidden"}

    @plain_errors
    def compute(request: gr.Request, *seen):
        *others, choices = seen
        steps = only_changes(_compute(keys, request, *others, *choices))
        if (yield from CURRENT_WORK.run(asker(request, "explain-slow"), seen, steps)) == "stopped":
            yield gr.skip(), say(request, "explain_stopped"), *_buttons(running=False)

    def changed(request: gr.Request, *seen) -> list | dict:
        news = CURRENT_WORK.show(asker(request, "explain-slow"), seen)
        return ["", *_buttons(running=False)] if news else gr.skip()

    run.click(
        compute,
        seen,
        [viewer, *shown],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="multiple",
    )
    stop.click(stop_handler("explain-slow"), None, None, **in_place)
    gr.on([each.change for each in seen], changed, seen, shown, **in_place)

    def show(scene: Scene, request: gr.Request, target: str | None, against: str | None, choices: list):
        return _show(keys, scene, request, target, against, *choices)

    def arrays(scene: Scene, state: dict, target: str | None, against: str | None, choices: list):
        return _arrays(keys, scene, state, target, against, *choices)

    return Tab("explain", item, (viewer,), show, arrays, inputs, classes=(target, against))


@dataclass(frozen=True)
class Asked:
    """A visitor's request for maps of one scene: two classes as numbers (None without a head), each method's choices,
    and a notice, in both languages, if the class that they named cannot be explained."""

    scene: Scene
    target: int | None
    against: int | None
    choices: dict[str, dict]
    notice: dict[str, str] | str = ""

    @classmethod
    def of(cls, scene: Scene, keys: Sequence, target: str | None, against: str | None, *values: object) -> Asked:
        choices = explain_choices.chosen(keys, values, scene.trace)
        if not scene.model.config.classes:
            return cls(scene, None, None, choices, say_both("explain_no_head"))
        try:
            classes = chosen_classes(scene.model, scene.trace, named_class(target), named_class(against))
            return cls(scene, *classes, choices)
        except ValueError as error:  # such as a label of the model before: the predicted class is what there is to show
            return cls(scene, *chosen_classes(scene.model, scene.trace, None), choices, instead(error))

    def of_method(self, method: str) -> tuple[int | None, dict]:
        """Return (target, choices) for `explained`."""
        choices = self.choices.get(method, {})
        if not METHODS[method].needs_head:
            return None, choices
        return self.target, choices | {"against": self.against}

    def is_there(self, method: str) -> bool:
        """Return whether the method is quick, or its map was made before."""
        target, choices = self.of_method(method)
        return not METHODS[method].slow or is_explained(self.scene, method, target, **choices)

    def missing(self) -> list[str]:
        """The slow methods whose maps can be made and are not, those of the fewest passes first."""
        able = [name for name, record in METHODS.items() if self.target is not None or not record.needs_head]
        wanted = [name for name in able if not self.is_there(name)]
        grid = self.scene.trace.grid
        return sorted(wanted, key=lambda name: METHODS[name].count_passes(self.choices.get(name, {}), grid))

    def maps(self) -> tuple[dict[str, Explanation], dict[str, dict[str, str]]]:
        """Return (the maps that are there, the reasons why other methods have none)."""
        found, off = {}, {}
        for method, record in METHODS.items():
            if record.needs_head and self.target is None:
                off[method] = say_both("explain_off")
            elif self.is_there(method):
                target, choices = self.of_method(method)
                try:
                    found[method] = explained(self.scene, method, target, **choices)
                except ValueError as error:
                    off[method] = {language: reason_of(error, language) for language in TEXT}
        return found, off

    def value(self, also_off: dict[str, dict[str, str]] | None = None) -> dict:
        """Return the viewer's value. `also_off`: methods that failed."""
        maps, off = self.maps()
        facts = {
            method: say_both("explain_sum", sum=f"{made.values.sum().item():+.3f}")
            for method, made in maps.items()
            if METHODS[method].adds_up
        }
        value = explain_value(
            list(METHODS),
            maps,
            off | (also_off or {}),
            self.scene.trace.grid,
            picture=self.scene.model.preprocessing.pixels_to_picture(self.scene.pixels),
            title=self._title(),
            caption=self.scene.name,
            notice=self.notice,
            facts=facts,
        )
        return value | {"manifest": manifest_of(self.scene, "explain", **self.told(maps))}

    def told(self, maps: dict[str, Explanation]) -> dict:
        """Describe `maps` for a manifest: their classes and choices."""
        labels = self.scene.model.labels
        return {
            "target": self.target,
            "target_label": None if self.target is None else labels[self.target],
            "against": self.against,
            "against_label": None if self.against is None else labels[self.against],
            "methods": {method: METHODS[method].defaults | self.of_method(method)[1] for method in maps},
            "signed": [method for method, made in maps.items() if made.signed],
            "grid": list(self.scene.trace.grid),
        }

    def _title(self) -> dict[str, str]:
        if self.target is None:
            return say_both("explain_title_no_class")
        probabilities = self.scene.trace.logits[0].float().softmax(-1)
        label, share = self.scene.model.labels[self.target], f"{probabilities[self.target].item():.1%}"
        if self.against is not None:
            other = self.scene.model.labels[self.against], f"{probabilities[self.against].item():.1%}"
            return say_both("explain_title_against", label=label, share=share, other=other[0], other_share=other[1])
        predicted = self.target == int(probabilities.argmax())
        return say_both("explain_title_predicted" if predicted else "explain_title", label=label, share=share)


def _show(keys: Sequence, scene: Scene, request: gr.Request, *inputs) -> list:
    return [Asked.of(scene, keys, *inputs).value()]


def _compute(keys: Sequence, request: gr.Request, choice: ModelChoice, picture_file: str | None, *inputs):
    """Make the slow methods' maps one after another, the quickest first; finished maps are kept, also on a cancel."""
    if not picture_file:
        raise ValueError(say(request, "need_picture"))
    scene = scene_of(choice, picture_file)
    asked, failed = Asked.of(scene, keys, *inputs), {}
    for method in asked.missing():
        target, choices = asked.of_method(method)
        with closing(follow_progress(partial(explained, scene, method, target, **choices))) as following:
            try:
                for done, total in following:
                    name = say(request, f"method_{method}")
                    doing = say(request, "explain_doing", method=name, done=done, total=total)
                    yield gr.skip(), doing, *_buttons(running=True)
            except ValueError as error:
                failed[method] = {language: reason_of(error, language) for language in TEXT}
        yield asked.value(failed), gr.skip(), gr.skip(), gr.skip()
    ended = "explain_off" if asked.target is None else "explain_failed" if failed else "explain_done"
    yield gr.skip(), say(request, ended), *_buttons(running=False)


def _buttons(running: bool) -> list[gr.Button]:
    """Show Run or Stop, never both."""
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def _arrays(keys: Sequence, scene: Scene, state: dict, *inputs) -> tuple[dict, dict]:
    """Return every map that is there, with its choices; `shown` is the one that was large."""
    asked = Asked.of(scene, keys, *inputs)
    maps, _ = asked.maps()
    arrays = {method.replace("-", "_"): made.values.numpy() for method, made in maps.items()}
    if asked.target is not None:
        arrays["logits"] = scene.trace.logits[0].float().cpu().numpy()
    shown = state.get("method")
    return arrays, {"shown": shown if shown in tuple(METHODS) else None} | asked.told(maps)
