"""fill_tab: what a browser is sent when a tab is opened, a control moves, or another picture or model is chosen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import gradio as gr

from explorer.session.scenes import ModelChoice, Scene, scene_of
from explorer.ui.errors import plain_errors
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.events.sent_values import SentValues
from explorer.ui.events.stale_work import CURRENT_WORK
from explorer.ui.tab import Tab
from explorer.ui.words import language_of


def fill_tab(
    tab: Tab,
    request: gr.Request | None,
    choice: ModelChoice,
    picture_file: str | None,
    sent: SentValues | None,
    *own: object,
    says_refusal: bool = True,
) -> list:
    """Return the tab's new `SentValues`, then values for `tab.outputs` and `tab.classes`. All are `gr.skip()` where the
    browser shows this already, and where an event that began later has chosen something else.

    `sent`: what the browser shows; `own`: the values of `tab.inputs`; `says_refusal`: as in `find_scene`.
    """
    if not picture_file:
        return _nothing(tab)
    begun = next(BEGUN)
    scene = find_scene(request, choice, picture_file, says_refusal)
    key = (scene.name, scene.key, language_of(request), *own)
    values = _values(tab, scene, request, begun, sent, key, (choice, picture_file, *own))
    if values is None:
        return _nothing(tab)
    labels = scene.model.labels if scene.model.config.classes else ()
    is_listed = sent and sent.labels == labels
    classes = [gr.skip() if is_listed else gr.Dropdown(choices=_listed(labels)) for _ in tab.classes]
    return [SentValues.of(key, labels, values), *values, *classes]


def find_scene(request: gr.Request | None, choice: ModelChoice, picture_file: str, says_refusal: bool = True) -> Scene:
    """Return `scene_of`, inside an event. `says_refusal`: whether the page says why a picture or model is refused. One
    of two events that run side by side says it; the other fails without a word."""
    if says_refusal:
        return scene_of(choice, picture_file)
    try:
        return plain_errors(lambda request: scene_of(choice, picture_file))(request)
    except gr.Error as error:
        error.visible = False
        raise


def fill_later(tab: Tab) -> Callable:
    """Return the generator event that fills `tab.later_outputs`, from the model's choice, the picture and the values of
    `tab.inputs`."""

    @plain_errors
    def fill_later(request: gr.Request, choice: ModelChoice, picture_file: str | None, *own):
        if not picture_file:
            return
        steps = tab.show_later(scene_of(choice, picture_file), request, *own)
        ended = yield from CURRENT_WORK.run(asker(request, tab.name), (choice, picture_file, *own), steps)
        if ended == "stopped":
            yield tab.stopped(request)

    return fill_later


def _values(
    tab: Tab,
    scene: Scene,
    request: gr.Request | None,
    begun: int,
    sent: SentValues | None,
    key: Hashable,
    of: tuple,
) -> Sequence | None:
    """What the tab shows, or None where that is not to be sent. `of`: the page's model and picture, then the tab's own
    controls."""
    who = asker(request, tab.name)
    if not ORDER.newest(who, begun) or (sent and sent.still(key) and CURRENT_WORK.is_settled(who, of)):
        return None
    values = tab.show(scene, request, *of[2:])
    with ORDER.holding(who, begun) as newest:  # one that began later may have come while this was made
        if newest:
            CURRENT_WORK.begin(who, of)
    return values if newest else None


def _nothing(tab: Tab) -> list:
    return [gr.skip() for _ in range(1 + len(tab.outputs) + len(tab.classes))]


@lru_cache(8)
def _listed(labels: tuple[str, ...]) -> list[tuple[str, str]]:
    """(label, what `named_class` reads) of every class; one list for all visitors."""
    return [(label.replace("_", " "), f"#{index}") for index, label in enumerate(labels)]
