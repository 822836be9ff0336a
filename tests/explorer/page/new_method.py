"""A process with a method more than the product has: prints where the page and its endpoints have it, as JSON."""

import json

import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from explorer.analysis.explain.method import Count, Method, OneOf
from explorer.analysis.explain.methods import METHODS


def corner(model, pixels, trace, target, *, size=1, shape="square", progress=None):
    """How near a patch is to the upper left corner."""
    gh, gw = trace.grid
    return CORNER.explanation(size / (1.0 + torch.arange(gh)[:, None] + torch.arange(gw)))


CORNER = Method(
    "corner",
    corner,
    (
        Count("size", high=9, offered=True, slider=(1, 5, 1)),
        OneOf("shape", options=("square", "round"), offered=True),
    ),
    needs_head=False,
    passes=lambda choices, grid: choices["size"],
    most_passes=5,
)


def main() -> None:
    METHODS["corner"] = CORNER
    import app  # the words of the methods are read once
    from explorer.analysis.faithfulness.leaderboard import leaderboard
    from explorer.page.page import build_page
    from explorer.session.scenes import ModelChoice, scene_of
    from explorer.tabs.explain import tab
    from explorer.ui.examples import example_files
    from explorer.ui.words import TEXT

    demo, picture = build_page(), str(example_files()[0])
    parts = {each["props"].get("elem_id"): each for each in demo.config["components"]}
    group = next(block for block in demo.blocks.values() if block.elem_id == "explain-of-corner")
    controls = [each for form in group.children for each in form.children]
    found = {
        "words": [TEXT[language]["method_corner"] for language in ("en", "zh")],
        "controls": [type(control).__name__ for control in controls],
        "slider": [getattr(controls[0], name) for name in ("minimum", "maximum", "value")],
        "offered": sorted(
            name
            for name, each in parts.items()
            if name and each["type"] == "dropdown" and "corner" in [choice[1] for choice in each["props"]["choices"]]
        ),
    }
    scene = scene_of(ModelChoice(), picture)
    asked = tab.Asked.of(scene, (("corner", "size"), ("corner", "shape")), None, None, 99, "round")
    found |= {"chosen": asked.choices["corner"], "missing": asked.missing()[0]}
    *_, board = leaderboard(scene.model, scene.pixels, 0, trace=scene.trace, methods=["corner"], steps=1)
    found["board"] = list(board.maps)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    client = Client(url, verbose=False, analytics_enabled=False)

    def answer(choices: dict) -> object:
        sent = ["bundled", handle_file(picture), "native", "corner", "", json.dumps(choices)]
        try:
            return client.predict(*sent, api_name="/explain")["values"][0][:2]
        except AppError as error:
            return str(error)

    found["endpoint"] = [answer(choices) for choices in ({"size": 2}, {"size": 6}, {"size": 10}, {"colour": 1})]
    client.close()
    demo.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
