"""Pictures to begin with: photographs that come with Gradio, and one drawn by code."""

from __future__ import annotations

import json
import math
import tempfile
from functools import cache
from pathlib import Path

import gradio as gr
from PIL import Image, ImageDraw, ImageFilter

_NAMES = {
    "parachute": {"en": "a parachute, drawn", "zh": "画出的降落伞"},
    "tower": {"en": "a tower", "zh": "铁塔"},
    "cheetah1": {"en": "a cheetah", "zh": "猎豹"},
    "lion": {"en": "a lion", "zh": "狮子"},
}
_PHOTOGRAPHS = Path(gr.__file__).parent / "media_assets" / "images"


@cache
def example_files() -> tuple[Path, ...]:
    """Return the paths of the example pictures; the page opens with the first."""
    drawn = Path(tempfile.mkdtemp(prefix="vit-explorer-")) / "parachute.png"
    draw_parachute().save(drawn)
    photographs = [_PHOTOGRAPHS / name for name in ("tower.jpg", "cheetah1.jpg", "lion.jpg")]
    return (drawn, *(path for path in photographs if path.exists()))


def name_examples(page: gr.Blocks) -> None:
    """Name the examples, which are pictures alone, for screen readers."""
    names = json.dumps([_NAMES[file.stem] for file in example_files()], ensure_ascii=False)
    page.load(
        None,
        js=f"""() => {{
            const names = {names}, lang = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
            document.querySelectorAll("#examples .gallery-item").forEach((button, index) => {{
                button.ariaLabel = names[index][lang];
            }});
        }}""",
        api_visibility="private",
        queue=False,
    )


def draw_parachute(side: int = 384) -> Image.Image:
    """Draw a striped parachute over hills: one of the bundled model's ten classes, drawn at three times the size."""
    s = side * 3
    sky = Image.linear_gradient("L").resize((s, s))
    picture = Image.merge(
        "RGB",
        [
            sky.point(lambda v, low=low, high=high: int(low + (high - low) * v / 255))
            for low, high in ((52, 172), (112, 206), (190, 240))
        ],
    )
    draw = ImageDraw.Draw(picture)
    cx, cy, rx, ry = 0.56 * s, 0.34 * s, 0.30 * s, 0.23 * s
    stripes = ["#d7263d", "#f4f1ea", "#1b4f9c", "#f4f1ea", "#d7263d", "#f2b632", "#d7263d", "#f4f1ea", "#1b4f9c"]
    knot = (0.545 * s, 0.76 * s)
    edges = [cx - rx * math.cos(math.pi * i / len(stripes)) for i in range(len(stripes) + 1)]
    for i, colour in enumerate(stripes):  # gores between meridians of a half ellipsoid, with scalloped lower edges

        def meridian(k: float) -> list[tuple[float, float]]:
            x = -math.cos(math.pi * k / len(stripes))
            return [(cx + rx * x * math.sin(t), cy - ry * math.cos(t)) for t in (j * math.pi / 48 for j in range(25))]

        draw.polygon(meridian(i) + meridian(i + 1)[::-1], fill=colour)
        left, right = edges[i], edges[i + 1]
        draw.ellipse([left, cy - 0.02 * s, right, cy + 0.02 * s], fill="#639bcf")
    for edge in edges:
        draw.line([(edge, cy), knot], fill="#22303c", width=s // 300)
    x, y = knot
    draw.ellipse([x - 0.013 * s, y, x + 0.013 * s, y + 0.028 * s], fill="#2a2320")
    draw.rounded_rectangle([x - 0.018 * s, y + 0.026 * s, x + 0.018 * s, y + 0.085 * s], s // 90, fill="#a63d2f")
    draw.line([(x - 0.01 * s, y + 0.08 * s), (x - 0.016 * s, y + 0.135 * s)], fill="#2f3742", width=s // 90)
    draw.line([(x + 0.01 * s, y + 0.08 * s), (x + 0.018 * s, y + 0.13 * s)], fill="#2f3742", width=s // 90)
    for base, height, colour in ((0.90, 0.05, "#6f8f86"), (0.95, 0.04, "#4f7461"), (0.99, 0.03, "#35573f")):
        ridge = [(k * s / 60, (base + height * math.sin(k / 7 + 9 * base) * math.cos(k / 17)) * s) for k in range(61)]
        draw.polygon([*ridge, (s, s), (0, s)], fill=colour)
    shaded = picture.filter(ImageFilter.GaussianBlur(s / 700))
    return shaded.resize((side, side), Image.Resampling.LANCZOS)
