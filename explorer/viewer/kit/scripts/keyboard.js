// Keys: arrows move over a grid, and a key that belongs to the browser or to a field is left to them.

/**
 * Whether a key is meant for the browser.
 * @param {{ctrlKey: boolean, metaKey: boolean, altKey: boolean}} event
 */
export const hasModifier = (event) => event.ctrlKey || event.metaKey || event.altKey;

/**
 * Whether a key is meant for the browser, or for a field that has the focus.
 * @param {KeyboardEvent} event
 */
export const isForeignKey = (event) =>
  hasModifier(event) || (event.target instanceof Element && event.target.matches("input, select"));

/** @type {Map<string, [number, number]>} */
const ARROWS = new Map([
  ["ArrowUp", [-1, 0]],
  ["ArrowDown", [1, 0]],
  ["ArrowLeft", [0, -1]],
  ["ArrowRight", [0, 1]],
]);

/**
 * The cell one step from `cell` in the direction of an arrow key; null for another key. Edges hold.
 * @param {string} key
 * @param {number} cell
 * @param {number} gh
 * @param {number} gw
 */
export function arrowStep(key, cell, gh, gw) {
  const step = ARROWS.get(key);
  if (!step) return null;
  const row = Math.min(Math.max(Math.floor(cell / gw) + step[0], 0), gh - 1);
  const column = Math.min(Math.max((cell % gw) + step[1], 0), gw - 1);
  return row * gw + column;
}
