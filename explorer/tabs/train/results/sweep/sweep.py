"""SweepView: one small curve for each learning rate that was tried, the picked one marked."""

from __future__ import annotations

from explorer.viewer.kit.component import Component


class SweepView(Component):
    """Value: {"stamp", "trials": [{"rate", "accuracy" or None, "picked", "state", "steps": [..], "values": [..]}, ...],
    "note": Caption} or None. `values` are held-out accuracies, 0 to 1, after `steps` steps. Event `npz`: somebody wants
    the numbers as a file."""

    html, css, words = "sweep.html", ("sweep.css",), "sweep.words.json"
    script = "sweep.js"
    script_events = ("npz",)
