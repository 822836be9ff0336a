// Files to take away: PNGs that carry a manifest, sheets to draw them on, and tables.
import { contextOf } from "./heatmap.js";
import { createElement } from "./nodes.js";

const INK = "#1f2430";

/**
 * Offer a Blob as a download.
 * @param {Blob} blob
 * @param {string} name
 */
function offerFile(blob, name) {
  const link = createElement("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * Offer lines of a table as a CSV download.
 * @param {string[]} lines
 * @param {string} name
 */
export const offerCsv = (lines, name) => offerFile(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }), name);

/**
 * Offer a canvas as a PNG that carries `manifest`, what Python sent of where the numbers come from (none where it sent
 * nothing), `about`, a plain object that says what is in sight of them, and the date.
 * @param {HTMLCanvasElement} canvas
 * @param {string} name
 * @param {object | null | undefined} manifest
 * @param {object} about
 */
export function savePng(canvas, name, manifest, about) {
  canvas.toBlob((png) => {
    if (png) offerPng(png, name, manifest, about);
  });
}

/**
 * `savePng` of a PNG that is there already.
 * @param {Blob} png
 * @param {string} name
 * @param {object | null | undefined} manifest
 * @param {object} about
 */
export function offerPng(png, name, manifest, about) {
  offerFile(withManifest(png, { ...manifest, ...about, date: new Date().toISOString() }), name);
}

/**
 * A PNG with `manifest` as JSON in an iTXt chunk (UTF-8, keyword "vit-explorer") behind IHDR, which ends at byte 33.
 * @param {Blob} png
 * @param {object} manifest
 */
export function withManifest(png, manifest) {
  // keyword, NUL, uncompressed, method 0, no language, no translated keyword, text: PNG specification, 11.3.3.4
  const chunk = new TextEncoder().encode(`iTXtvit-explorer\0\0\0\0\0${JSON.stringify(manifest)}`);
  /** @param {number} number */
  const word = (number) => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
  return new Blob([png.slice(0, 33), word(chunk.length - 4), chunk, word(crc32(chunk)), png.slice(33)], {
    type: png.type,
  });
}

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

/**
 * A white canvas to draw a PNG on: {canvas, context, write(text, x, y, pixels, widest)}.
 * @param {number} width
 * @param {number} height
 */
export function createSheet(width, height) {
  const canvas = createElement("canvas", { width, height }),
    context = contextOf(canvas);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = INK;
  /** @type {(text: string, x: number, y: number, pixels?: number, widest?: number) => void} */
  const write = (text, x, y, pixels = 16, widest = canvas.width) => {
    context.fillStyle = INK;
    context.font = `${pixels}px sans-serif`;
    context.fillText(text, x, y, widest);
  };
  return { canvas, context, write };
}

/**
 * Frame a rectangle so that it can be seen on any picture: a thin line on a thick one.
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number, number, number]} rectangle x, y, width, height
 * @param {[string, number][]} lines colour and width of each, the thick one first
 */
export function frame(
  context,
  rectangle,
  lines = [
    ["#000000", 7],
    ["#ffffff", 3],
  ],
) {
  for (const [colour, line] of lines) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(...rectangle);
  }
}

/**
 * Draw a map over its picture, as the page shows the two.
 * @param {CanvasRenderingContext2D} context
 * @param {{picture: CanvasImageSource | null, map: CanvasImageSource, smooth: boolean, opacity: number}} layers
 * @param {[number, number, number, number]} rectangle
 */
export function drawOver(context, { picture, map, smooth, opacity }, rectangle) {
  context.imageSmoothingEnabled = true;
  if (picture) context.drawImage(picture, ...rectangle);
  context.imageSmoothingEnabled = smooth;
  context.globalAlpha = picture ? opacity : 1;
  context.drawImage(map, ...rectangle);
  context.globalAlpha = 1;
}
