"""RunTable: the runs as a table that keeps itself up to date, to open, overlay, rename, resume and delete them."""

from __future__ import annotations

from explorer.viewer.kit.component import Component

STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "damaged")


class RunTable(Component):
    """Value: {"stamp": str, "opened": id or None, "more": int, "rows": [row, ...]} with rows {"id", "name", "recipe",
    "data", "model", "state" (of STATES), "reason", "step", "steps", "best", "test", "started" (seconds since 1970),
    "seconds", "resumable"}; a number that is not known is None. All texts are shown as text.

    Events, their data to be validated by who listens: `refresh` {"stamp"} while it is in sight, `open` {"run"},
    `compare` {"runs"}, `rename` {"run", "name"}, `resume` {"run"}, `remove` {"run"} (confirmed).
    """

    html, css, words = "table.html", ("table.css",), "table.words.json"
    script = "table.js"
    script_events = ("compare", "open", "refresh", "remove", "rename", "resume")
