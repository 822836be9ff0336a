// HeatMap: gh x gw values as a small bitmap that CSS scales up.
import { colourEnds } from "./colours.js";

/**
 * The 2D context of a canvas; an Error where the browser has none.
 * @param {HTMLCanvasElement} canvas
 */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}

export class HeatMap {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = contextOf(canvas);
    /** @type {ImageData | null} */
    this.image = null;
    this.pixels = new Uint32Array(0);
    this.across = this.down = interpolationSteps(1, 1);
    /** @type {boolean | null} */
    this.smooth = null;
  }

  /**
   * Draw `values[offset ...]`, row by row; values outside [lowest, highest] are clipped.
   * @param {ArrayLike<number>} values
   * @param {number} offset
   * @param {number} gh
   * @param {number} gw
   * @param {number} lowest
   * @param {number} highest
   * @param {Uint32Array} table
   * @param {boolean} smooth whether values (not colours) are interpolated linearly between cell centres
   */
  draw(values, offset, gh, gw, lowest, highest, table, smooth = false) {
    const [low, high] = colourEnds(lowest, highest, table);
    const factor = smooth ? Math.max(1, Math.min(8, Math.floor(192 / Math.max(gh, gw)))) : 1;
    const width = gw * factor,
      height = gh * factor,
      gain = high > low ? 255 / (high - low) : 0;
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.across = interpolationSteps(gw, factor);
      this.down = interpolationSteps(gh, factor);
    }
    const { pixels, across, down } = this;
    if (factor === 1) {
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[toIndex((values[offset + i] - low) * gain)];
    } else {
      for (let y = 0, at = 0; y < height; y++) {
        const top = offset + down.low[y] * gw,
          bottom = offset + down.high[y] * gw,
          v = down.part[y];
        for (let x = 0; x < width; x++, at++) {
          const left = across.low[x],
            right = across.high[x],
            u = across.part[x];
          const above = values[top + left] + (values[top + right] - values[top + left]) * u;
          const below = values[bottom + left] + (values[bottom + right] - values[bottom + left]) * u;
          pixels[at] = table[toIndex((above + (below - above) * v - low) * gain)];
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
    if (this.smooth !== smooth) this.canvas.style.imageRendering = smooth ? "auto" : "pixelated";
    this.smooth = smooth;
  }

  /**
   * Draw gh x gw packed pixels as they are.
   * @param {Uint32Array} pixels
   * @param {number} gh
   * @param {number} gw
   */
  drawPixels(pixels, gh, gw) {
    const { canvas, context } = this;
    if (canvas.width !== gw || canvas.height !== gh) Object.assign(canvas, { width: gw, height: gh });
    const image = context.createImageData(gw, gh);
    new Uint32Array(image.data.buffer).set(pixels);
    context.putImageData(image, 0, 0);
    canvas.style.imageRendering = "pixelated";
    this.image = this.smooth = null; // the canvas may be another size now
  }
}

/** @param {number} scaled 0 ... 255, rounded and clipped to an index of a table */
const toIndex = (scaled) => (scaled <= 0 ? 0 : scaled >= 255 ? 255 : (scaled + 0.5) | 0);

/**
 * For `cells * factor` samples: the cells on both sides and how far in between.
 * @param {number} cells
 * @param {number} factor
 */
export function interpolationSteps(cells, factor) {
  const count = cells * factor,
    low = new Uint16Array(count),
    high = new Uint16Array(count),
    part = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const at = Math.min(Math.max((i + 0.5) / factor - 0.5, 0), cells - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, cells - 1);
    part[i] = at - low[i];
  }
  return { low, high, part };
}
