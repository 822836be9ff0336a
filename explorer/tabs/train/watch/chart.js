// One chart on a canvas: lines and dots over a common x, two axes, a cursor. Redrawn whole, in about a millisecond.
import { contextOf } from "../../../viewer/kit/scripts/heatmap.js";
import { decades, shortNumber, ticks } from "./axis.js";

/**
 * @typedef {{x: number[], y: number[], colour: string, width?: number, alpha?: number, dots?: boolean}} Line x
 *   ascending
 */
/** @typedef {{ink: string, line: string, quiet: string}} Colours */
/** @typedef {(value: number) => number} Scale */

export class Chart {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = contextOf(canvas);
    /** @type {{left: number, right: number, top: number, bottom: number} | null} where lines are drawn */
    this.area = null;
    this.range = [0, 1];
  }

  /**
   * Draw lines over the range [low, high] of x.
   * @param {Line[]} lines
   * @param {number[]} range
   * @param {object} choices `log`: a logarithmic y axis; `floor`: y begins there at the latest; `cursor`: an x, or null
   * @param {boolean} [choices.log]
   * @param {number | null} [choices.floor]
   * @param {number | null} [choices.cursor]
   * @param {Colours} choices.colours
   * @param {string} choices.font
   * @param {boolean} [choices.percent]
   */
  draw(lines, range, { log = false, floor = null, cursor = null, colours, font, percent = false }) {
    const { canvas, context } = this,
      scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth,
      height = canvas.clientHeight;
    if (!width) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `11.5px ${font}`;
    const heights = this.#heights(lines, log, floor);
    this.area = null;
    if (!heights) return; // nothing was measured yet
    const [low, high] = heights;
    /** @type {Scale} */
    const up = log ? Math.log10 : (value) => value;
    const bottom = up(low),
      top = up(high);
    const marks = log ? decades(low, high) : ticks(low, high, Math.max(2, height / 44));
    const texts = marks.map((value) => (percent ? `${shortNumber(value)}%` : shortNumber(value)));
    const left = Math.ceil(Math.max(...texts.map((text) => context.measureText(text).width), 18)) + 8;
    const area = { left, right: width - 8, top: 8, bottom: height - 20 };
    /** @type {Scale} */
    const across = (x) => area.left + ((x - range[0]) / (range[1] - range[0] || 1)) * (area.right - area.left);
    /** @type {Scale} */
    const down = (y) => area.bottom - ((up(y) - bottom) / (top - bottom || 1)) * (area.bottom - area.top);
    this.area = area;
    this.range = range;

    context.lineWidth = 1;
    context.strokeStyle = colours.line;
    context.fillStyle = colours.quiet;
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.beginPath();
    marks.forEach((value, i) => {
      const y = Math.round(down(value)) + 0.5;
      context.moveTo(area.left, y);
      context.lineTo(area.right, y);
      context.fillText(texts[i], area.left - 6, y);
    });
    context.stroke();
    context.textBaseline = "alphabetic";
    for (const value of ticks(range[0], range[1], Math.max(1, (area.right - area.left) / 90))) {
      const x = across(value),
        text = shortNumber(value),
        half = context.measureText(text).width / 2;
      context.textAlign = "center";
      context.fillText(text, Math.min(Math.max(x, half), width - half), height - 5);
    }
    context.save();
    context.beginPath();
    context.rect(area.left, 0, area.right - area.left + 8, area.bottom + 4);
    context.clip();
    for (const line of lines) this.#line(line, across, down, low);
    if (cursor !== null && cursor >= range[0] && cursor <= range[1]) {
      context.globalAlpha = 0.75;
      context.strokeStyle = colours.ink;
      context.beginPath();
      context.moveTo(Math.round(across(cursor)) + 0.5, area.top);
      context.lineTo(Math.round(across(cursor)) + 0.5, area.bottom);
      context.stroke();
      context.globalAlpha = 1;
    }
    context.restore();
  }

  /**
   * The x under a pointer event, or null where nothing is drawn.
   * @param {{clientX: number}} event
   */
  at(event) {
    if (!this.area) return null;
    const { left, right } = this.area,
      part = (event.clientX - this.canvas.getBoundingClientRect().left - left) / (right - left);
    return this.range[0] + Math.min(Math.max(part, 0), 1) * (this.range[1] - this.range[0]);
  }

  /**
   * The ends of the y axis; null where there is no value.
   * @param {Line[]} lines
   * @param {boolean} log
   * @param {number | null} floor
   */
  #heights(lines, log, floor) {
    let low = Infinity,
      high = -Infinity;
    for (const { y } of lines) {
      for (const value of y) {
        if (!Number.isFinite(value) || (log && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return null;
    if (floor !== null && !log) low = Math.min(low, floor);
    if (log) return [low / 1.15, high * 1.15];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low === floor ? low : low - room, high + room];
  }

  /**
   * @param {Line} line
   * @param {Scale} across
   * @param {Scale} down
   * @param {number} low
   */
  #line({ x, y, colour, width = 1.75, alpha = 1, dots = false }, across, down, low) {
    const { context } = this;
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    /** @type {number | null} */
    let column = null;
    let pen = false,
      least = 0,
      most = 0,
      last = 0;
    const flush = () => {
      // all points of one pixel column as one upright stroke
      if (column !== null && most > least + 0.5) {
        context.lineTo(column, least);
        context.lineTo(column, most);
        context.lineTo(column, last);
      }
    };
    for (let i = 0; i < x.length; i++) {
      const value = Math.max(y[i], low); // what a logarithmic axis cannot show lies on its floor
      if (!Number.isFinite(y[i])) {
        flush();
        pen = false;
        column = null;
        continue;
      }
      const px = across(x[i]),
        py = down(value),
        at = Math.round(px);
      if (pen && at === column) {
        least = Math.min(least, py);
        most = Math.max(most, py);
        last = py;
        continue;
      }
      flush();
      if (pen) context.lineTo(px, py);
      else context.moveTo(px, py);
      pen = true;
      column = at;
      least = most = last = py;
    }
    flush();
    context.stroke();
    if (dots) {
      const radius = x.length > 60 ? 2 : 3;
      for (let i = 0; i < x.length; i++) {
        if (!Number.isFinite(y[i])) continue;
        context.beginPath();
        context.arc(across(x[i]), down(Math.max(y[i], low)), radius, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }
}
