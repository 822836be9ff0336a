"""The viewer: bytes and milliseconds of packing, main-thread time of a hover, and waiting times, in a real Chromium.

`python -m benchmarks hover [--moves 200] [--json FILE]`. Attention of realistic sharpness comes from the bundled
model, its layers and heads repeated up to a B/16's twelve by twelve; random B/16 weights, whose nearly uniform noise
hardly compresses, are the worst case beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from PIL import Image
from starlette.middleware import Middleware

from explorer.page.head import EarlyHead
from explorer.viewer import AttentionViewer, StackSource, ViewerStore, viewer_value
from explorer.viewer.kit.pack import compress, pack, unpack
from explorer.viewer.kit.served import ROUTES
from vit_model import load_model
from vit_model.config import SIZES
from vit_model.model import VisionTransformer

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
HEADS = LAYERS = 12


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks hover", description=__doc__.split("\n")[0])
    parser.add_argument("--moves", type=int, default=200, help="pointer moves measured for each size")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    choices = parser.parse_args(argv)
    results = {"packing": measure_packing()} | measure_browser(choices.moves)
    for name, numbers in results.items():
        print(name)
        for key, value in numbers.items():
            print(f"  {key:<44} {value:>10.3f}" if isinstance(value, float) else f"  {key:<44} {value:>10}")
    if choices.json:
        choices.json.write_text(json.dumps(results, indent=2), encoding="utf-8")
    return 0


def realistic_attention(side: int) -> list[np.ndarray]:
    """Twelve layers of [12, 1 + side^2, 1 + side^2] from the bundled model at a side x side grid."""
    model = load_model("bundled")
    patch = model.config.patch_size
    model = model.at_size((side * patch[0], side * patch[1]))
    pixels, _ = model.preprocess(drawn_picture())
    trace = model.trace(pixels)
    heads = [head for layer in range(trace.layers) for head in trace.attention(layer)[0].numpy()]
    return [np.stack([heads[(layer * HEADS + head) % len(heads)] for head in range(HEADS)]) for layer in range(LAYERS)]


def drawn_picture(size: int = 320) -> Image.Image:
    """A drawn scene with edges, gradients and texture."""
    y, x = np.mgrid[0:1:size*1j, 0:1:size*1j]  # fmt: skip
    noise = np.random.default_rng(0).normal(0, 12, (size, size, 1))
    disc = ((x - 0.6) ** 2 + (y - 0.45) ** 2 < 0.06)[..., None]
    field = np.stack([200 - 120 * y, 120 + 80 * x, 90 + 130 * y], -1) + noise
    return Image.fromarray(np.where(disc, field[..., ::-1] + 40, field).clip(0, 255).astype(np.uint8))


def measure_packing() -> dict[str, float]:
    torch.manual_seed(0)
    random = VisionTransformer(SIZES["B/16"]).eval().trace(torch.randn(1, 3, 224, 224))
    stacks = {
        "bundled model's attention": realistic_attention(14),
        "random B/16, noise": [random.attention(layer)[0].numpy() for layer in range(LAYERS)],
    }
    numbers: dict[str, float] = {}
    signed = (False,) * HEADS
    for name, layers in stacks.items():
        blobs = [pack(layer, signed) for layer in layers]
        back = unpack(blobs[0], 197, 197, signed)
        numbers |= {
            f"{name}: pack a layer, ms": median_ms(lambda layers=layers: pack(layers[5], signed)),
            f"{name}: compress a layer, ms": median_ms(lambda blobs=blobs: compress(blobs[5])),
            f"{name}: all layers, MB raw": sum(map(len, blobs)) / 1e6,
            f"{name}: all layers, MB gzip": sum(len(compress(blob)) for blob in blobs) / 1e6,
            f"{name}: error, % of row maximum": 100
            * float((abs(back - layers[0]) / layers[0].max(-1, keepdims=True)).max()),
        }
    return numbers


def measure_browser(moves: int) -> dict[str, dict[str, float]]:
    from playwright.sync_api import sync_playwright

    store = ViewerStore()
    sources = {side: StackSource(realistic_attention(side), (side, side), 1) for side in (14, 24)}
    sources[32] = StackSource(realistic_attention(32)[:1], (32, 32), 1)  # rows on demand
    picture = drawn_picture()
    with gr.Blocks(analytics_enabled=False) as demo:
        again = gr.Button("again", elem_id="again")
        with gr.Tabs():
            viewers = {}
            for side, source in sources.items():
                with gr.Tab(f"side{side}"):
                    value = viewer_value(source, store, picture=picture)
                    viewers[side] = AttentionViewer(value, store=store, elem_id=f"v{side}")
        again.click(lambda: viewer_value(sources[14], store, picture=picture), outputs=viewers[14])
        kept = {"middleware": [Middleware(EarlyHead)], "routes": ROUTES}  # as the page has it
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, app_kwargs=kept)
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(url)
        results = {}
        for side in (14, 24):
            results[f"hover, {side}x{side} patches, 12 heads beside it"] = hover(page, side, moves)
        page.get_by_role("tab", name="side14").click()
        results["new value"] = {"event sent to hoverable, ms": new_value_ms(page)}
        results["rows on demand, 32x32 patches"] = rows_on_demand(page, min(moves, 50))
        browser.close()
    demo.close()
    return results


def hover(page, side: int, moves: int) -> dict[str, float]:
    """Main-thread time (every task: events, script, style, layout, paint) of one move to another patch, in ms."""
    page.get_by_role("tab", name=f"side{side}").click()
    if side == 14:  # all layers are prefetched: wait until nothing else runs
        page.wait_for_selector("#v14 [data-part=all]:not(:disabled)", timeout=60_000)
    else:
        page.wait_for_selector(f"#v{side} [data-state=ready]", timeout=60_000)
    page.wait_for_timeout(2000)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time, whatever else runs

    def busy_ms() -> float:
        metrics = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
        return 1e3 * metrics["TaskDuration"]

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    box = page.locator(f"#v{side} .vit-stage").bounding_box()
    order = np.random.default_rng(0).integers(0, side * side, moves)
    costs, words, idle, nothing = [], [], [], []
    for patch in order:
        page.mouse.move(box["x"], box["y"] - 8)  # above the picture, where nothing listens
        page.wait_for_timeout(200)
        marks = [busy_ms()]
        page.wait_for_timeout(40)
        marks.append(busy_ms())
        page.mouse.move(box["x"] + 1 + float(patch), box["y"] - 8)
        page.wait_for_timeout(40)
        marks.append(busy_ms())
        page.mouse.move(
            box["x"] + (patch % side + 0.5) / side * box["width"],
            box["y"] + (patch // side + 0.5) / side * box["height"],
        )
        page.wait_for_timeout(40)  # maps and markers are painted; words and numbers follow 80 ms after the last move
        marks.append(busy_ms())
        page.wait_for_timeout(120)
        marks.append(busy_ms())
        for times, spent in zip((idle, nothing, costs, words), np.diff(marks), strict=True):
            times.append(spent)
    return {
        "main thread p50, ms": statistics.median(costs),
        "main thread p95, ms": float(np.percentile(costs, 95)),
        "words and numbers, once it rests p50, ms": statistics.median(words),
        "a move beside the viewer p50, ms": statistics.median(nothing),
        "the page at rest p50, ms": statistics.median(idle),
        "requests": len(asked),
    }


def new_value_ms(page) -> float:
    """From the click that makes Python send a new value to a viewer that can be hovered, without any forward pass."""
    durations = []
    for _ in range(5):
        seq = int(page.locator("#v14 .vit-viewer").get_attribute("data-seq")) + 1
        start = time.perf_counter()
        page.click("#again")
        page.wait_for_selector(f'#v14 [data-state=ready][data-seq="{seq}"]')
        durations.append(time.perf_counter() - start)
        page.wait_for_timeout(1500)  # let the other layers arrive
    return 1e3 * statistics.median(durations)


def rows_on_demand(page, moves: int) -> dict[str, float]:
    """From a pointer that comes to rest on a new patch to its painted rows, timed in the page."""
    page.get_by_role("tab", name="side32").click()
    page.wait_for_selector("#v32 [data-state=ready]", timeout=60_000)
    page.evaluate(
        """() => { const root = document.querySelector("#v32 .vit-viewer"); window.waits = []; let start = 0;
        root.addEventListener("pointermove", () => { start = performance.now(); });
        new MutationObserver(() => { if (!root.hasAttribute("data-pending")) waits.push(performance.now() - start); })
          .observe(root, {attributes: true, attributeFilter: ["data-pending"]}); }"""
    )
    box = page.locator("#v32 .vit-stage").bounding_box()
    for patch in np.random.default_rng(1).choice(1024, moves, replace=False):
        page.mouse.move(
            box["x"] + (patch % 32 + 0.5) / 32 * box["width"], box["y"] + (patch // 32 + 0.5) / 32 * box["height"]
        )
        page.wait_for_timeout(300)
    waits = page.evaluate("waits")
    return {"p50, ms": statistics.median(waits), "p95, ms": float(np.percentile(waits, 95)), "moves": len(waits)}


def median_ms(work: Callable[[], object], repeats: int = 9) -> float:
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return 1e3 * statistics.median(durations)
