// Walking over a plot's points with the keyboard: arrow keys move, the reading is spoken and shown, Enter is a click.
// In scope of plot.js: root, plot, t, shown, clicked, title.

/** Every point that can be pointed at, as {curveNumber, pointNumber, x, y, customdata}, from left to right, then upwards. */
function walkablePoints() {
  const points = [];
  for (const [curveNumber, trace] of (plot._fullData ?? []).entries()) {
    if (trace.type !== "scatter" || trace.visible !== true || trace.hoverinfo === "skip") continue;
    for (let pointNumber = 0; pointNumber < trace.x.length; pointNumber++) {
      const [x, y, customdata] = [trace.x[pointNumber], trace.y[pointNumber], trace.customdata?.[pointNumber]];
      if (x != null && Number.isFinite(y)) points.push({ curveNumber, pointNumber, x, y, customdata });
    }
  }
  return points.sort((a, b) => a.x - b.x || a.y - b.y);
}

/** Where a key leads from point `at` (-1: none yet) of the sorted points; null for a key that moves nothing. */
function steppedPoint(key, points, at) {
  if (key === "Home" || (at < 0 && key.startsWith("Arrow"))) return 0;
  if (key === "End") return points.length - 1;
  const here = points[at], within = (index) => (points[index]?.x === here.x ? index : at);
  if (key === "ArrowUp") return within(at + 1);
  if (key === "ArrowDown") return within(at - 1);
  if (key !== "ArrowLeft" && key !== "ArrowRight") return null;
  const right = key === "ArrowRight";
  const beyond = points.filter((point) => (right ? point.x > here.x : point.x < here.x));
  if (!beyond.length) return at;
  const x = right ? beyond[0].x : beyond.at(-1).x, column = beyond.filter((point) => point.x === x); // the next one, and in it
  const nearest = column.reduce((a, b) => (Math.abs(b.y - here.y) < Math.abs(a.y - here.y) ? b : a)); // the nearest height
  return points.indexOf(nearest);
}

/** What a pointer over the point would show: the trace's hovertemplate, filled in. */
function pointReading({ curveNumber, x, y, customdata }) {
  const template = plot._fullData[curveNumber].hovertemplate || "%{x}, %{y}";
  const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
  return template
    .replace(/%\{customdata\[(\d+)\][^}]*\}/g, (_, index) => number(customdata?.[index]))
    .replace(/%\{([xy])[^}]*\}/g, (_, axis) => number(axis === "x" ? x : y))
    .replace(/<[^>]*>/g, "");
}

let walked = null; // the point that the keyboard is on, {curveNumber, pointNumber}

function walk(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target !== root || !drawn()) return;
  const points = walkablePoints();
  const at = points.findIndex((one) => one.curveNumber === walked?.curveNumber && one.pointNumber === walked?.pointNumber);
  if (event.key === "Escape") return leavePoint();
  if (event.key === "Enter" && at >= 0) clicked({ points: [points[at]] });
  else {
    const next = points.length ? steppedPoint(event.key, points, at) : null;
    if (next === null) return;
    const { curveNumber, pointNumber } = (walked = points[next]);
    window.Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }]);
    vit.setText(spoken, pointReading(points[next]));
  }
  event.preventDefault();
}

function leavePoint() {
  walked = null;
  vit.setText(spoken, "");
  if (plot._fullLayout) window.Plotly.Fx.unhover(plot);
}

/** The plot can be focused where it has points, and says how it is used. */
function offerWalk() {
  const count = walkablePoints().length;
  if (!count) return root.removeAttribute("tabindex");
  root.tabIndex = 0;
  root.setAttribute("role", "application");
  root.setAttribute("aria-label", t(shown.link ? "walk_select" : "walk", { title: title(), count }));
}
