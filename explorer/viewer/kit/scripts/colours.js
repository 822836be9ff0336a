// Colour maps: tables of 256 packed RGBA pixels, from evenly spaced stops.

/** @typedef {"viridis" | "magma" | "inferno" | "turbo" | "grey" | "diverging"} ColourMap */

/** @type {Record<ColourMap, string>} */
const STOPS = {
  viridis: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
  magma: "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
  inferno: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
  turbo: "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0402",
  grey: "000000 ffffff",
  diverging: "17366f 2b5fae 6d9bd6 b9cfe9 f4f2ef f0c2a8 de8259 b84727 6f1d12", // blue below zero, red above
};
/** @type {Map<string, Uint32Array>} */
const tables = new Map();

/**
 * The colour map as packed pixels for ImageData; index 0 is the low end. The same name gives the same array.
 * @param {ColourMap} name
 */
export function colourTable(name) {
  let table = tables.get(name);
  if (!table) {
    const stops = STOPS[name].split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    table = Uint32Array.from({ length: 256 }, (_, index) => {
      const at = (index / 255) * (stops.length - 1),
        low = Math.min(Math.floor(at), stops.length - 2);
      const [r, g, b] = stops[low].map((value, c) => Math.round(value + (stops[low + 1][c] - value) * (at - low)));
      return (255 << 24) | (b << 16) | (g << 8) | r;
    });
    tables.set(name, table);
  }
  return table;
}

/**
 * The same colours, more transparent the nearer to zero, so that a picture underneath shows through.
 * @param {ColourMap} name
 */
export function fadedTable(name) {
  const zero = name === "diverging" ? 127.5 : 0,
    key = `${name}, faded`;
  let table = tables.get(key);
  if (!table) {
    table = colourTable(name).map((pixel, index) => {
      const alpha = 0.12 + 0.88 * (Math.abs(index - zero) / (255 - zero)) ** 0.6;
      return (pixel & 0xffffff) | (Math.round(255 * alpha) << 24);
    });
    tables.set(key, table);
  }
  return table;
}

/**
 * The ends [low, high] that a map is coloured between. Where they are equal, a diverging table shows its middle: no
 * difference is not the strongest negative one.
 * @param {number} low
 * @param {number} high
 * @param {Uint32Array} table
 * @returns {[number, number]}
 */
export function colourEnds(low, high, table) {
  const diverging = table === tables.get("diverging") || table === tables.get("diverging, faded");
  return high > low || !diverging ? [low, high] : [low - 1, high + 1];
}

/**
 * A packed pixel as CSS writes it, without its transparency: "#1f9e89".
 * @param {number} pixel
 */
export function cssColour(pixel) {
  return `#${[0, 8, 16].map((bits) => ((pixel >> bits) & 255).toString(16).padStart(2, "0")).join("")}`;
}
