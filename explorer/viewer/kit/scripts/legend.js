// The legend of a map: a bar of its colours, the numbers at both ends, and where a value lies between them.
import { colourEnds } from "./colours.js";
import { contextOf } from "./heatmap.js";
import { setText } from "./nodes.js";

/** @type {WeakMap<HTMLCanvasElement, Uint32Array>} the table that each bar shows */
const drawn = new WeakMap();

/**
 * Draw a colour map on a canvas of 256 x 1, unless it is there already.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint32Array} table
 */
export function drawBar(canvas, table) {
  if (drawn.get(canvas) === table) return;
  drawn.set(canvas, table);
  canvas.width = 256;
  canvas.height = 1;
  const context = contextOf(canvas),
    image = context.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(table);
  context.putImageData(image, 0, 0);
}

/**
 * Show a legend: its colours and the texts at its ends.
 * @param {{bar: HTMLCanvasElement, low: HTMLElement, high: HTMLElement}} nodes
 * @param {Uint32Array} table
 * @param {string[]} ends
 */
export function showLegend({ bar, low, high }, table, [least, most]) {
  drawBar(bar, table);
  setText(low, least);
  setText(high, most);
}

/**
 * Where a value lies between the ends of a legend: 0 to 1.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @param {Uint32Array} table
 */
export function legendShare(value, low, high, table) {
  const [from, to] = colourEnds(low, high, table);
  return Math.min(Math.max((value - from) / (to - from || 1), 0), 1);
}
