// Walking over a plot's points with the keyboard: arrow keys move, the reading is spoken and shown, Enter is a click.
import { hasModifier } from "../kit/scripts/keyboard.js";
import { setText } from "../kit/scripts/nodes.js";

/** @typedef {{curveNumber: number, pointNumber: number, x: number, y: number, customdata?: any}} Point */

/**
 * Every point that can be pointed at, from left to right, then upwards.
 * @param {any[]} traces Plotly's full traces
 * @returns {Point[]}
 */
export function walkablePoints(traces) {
  const points = [];
  for (const [curveNumber, trace] of traces.entries()) {
    if (trace.type !== "scatter" || trace.visible !== true || trace.hoverinfo === "skip") continue;
    for (let pointNumber = 0; pointNumber < trace.x.length; pointNumber++) {
      const [x, y, customdata] = [trace.x[pointNumber], trace.y[pointNumber], trace.customdata?.[pointNumber]];
      if (x != null && Number.isFinite(y)) points.push({ curveNumber, pointNumber, x, y, customdata });
    }
  }
  return points.sort((a, b) => a.x - b.x || a.y - b.y);
}

/**
 * Where a key leads from point `at` (-1: none yet) of the sorted points; null for a key that moves nothing.
 * @param {string} key
 * @param {{x: number, y: number}[]} points
 * @param {number} at
 */
export function steppedPoint(key, points, at) {
  if (key === "Home" || (at < 0 && key.startsWith("Arrow"))) return 0;
  if (key === "End") return points.length - 1;
  const here = points[at];
  /** @param {number} index */
  const within = (index) => (points[index]?.x === here.x ? index : at);
  if (key === "ArrowUp") return within(at + 1);
  if (key === "ArrowDown") return within(at - 1);
  if (key !== "ArrowLeft" && key !== "ArrowRight") return null;
  const right = key === "ArrowRight";
  const beyond = points.filter((point) => (right ? point.x > here.x : point.x < here.x));
  if (!beyond.length) return at;
  const x = beyond[right ? 0 : beyond.length - 1].x,
    column = beyond.filter((point) => point.x === x); // the next one, and in it
  // The nearest height.
  const nearest = column.reduce((a, b) => (Math.abs(b.y - here.y) < Math.abs(a.y - here.y) ? b : a));
  return points.indexOf(nearest);
}

/**
 * What a pointer over the point would show: the trace's hovertemplate, filled in.
 * @param {string} template
 * @param {{x: any, y: any, customdata?: any}} point
 */
export function pointReading(template, { x, y, customdata }) {
  /** @param {unknown} value */
  const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
  return template
    .replace(/%\{customdata\[(\d+)\][^}]*\}/g, (_, index) => number(customdata?.[index]))
    .replace(/%\{([xy])[^}]*\}/g, (_, axis) => number(axis === "x" ? x : y))
    .replace(/<[^>]*>/g, "");
}

/** The point that the keyboard is on, in one plot. */
export class PointWalk {
  /**
   * @param {HTMLElement} root the element that takes the focus
   * @param {any} plot Plotly's element
   * @param {HTMLElement} spoken where readings are spoken
   * @param {(event: {points: Point[]}) => void} click called where Enter chooses a point
   */
  constructor(root, plot, spoken, click) {
    this.root = root;
    this.plot = plot;
    this.spoken = spoken;
    this.click = click;
    /** @type {Point | null} */
    this.point = null;
  }

  get points() {
    return walkablePoints(this.plot._fullData ?? []);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (hasModifier(event) || event.target !== this.root) return;
    const { points, point: now } = this;
    const at = points.findIndex((one) => one.curveNumber === now?.curveNumber && one.pointNumber === now.pointNumber);
    if (event.key === "Escape") return this.leave();
    if (event.key === "Enter" && at >= 0) this.click({ points: [points[at]] });
    else {
      const next = points.length ? steppedPoint(event.key, points, at) : null;
      if (next === null) return;
      const { curveNumber, pointNumber } = (this.point = points[next]);
      /** @type {any} */ (window).Plotly.Fx.hover(this.plot, [{ curveNumber, pointNumber }]);
      setText(this.spoken, pointReading(this.plot._fullData[curveNumber].hovertemplate || "%{x}, %{y}", points[next]));
    }
    event.preventDefault();
  }

  leave() {
    this.point = null;
    setText(this.spoken, "");
    if (this.plot._fullLayout) /** @type {any} */ (window).Plotly.Fx.unhover(this.plot);
  }

  /**
   * Let the plot take the focus where it has points, and say how it is used.
   * @param {(count: number) => string} describe
   */
  offer(describe) {
    const count = this.points.length;
    if (!count) return this.root.removeAttribute("tabindex");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "application");
    this.root.setAttribute("aria-label", describe(count));
  }
}
