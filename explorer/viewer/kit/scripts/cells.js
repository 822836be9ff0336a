// Cells of a grid over a picture: which one is under the pointer, and frames around one of them.

/**
 * The cell (row by row, from 0) of a gh x gw grid under a pointer event, or -1 outside of `box`.
 * @param {{clientX: number, clientY: number}} event
 * @param {Element} box
 * @param {number} gh
 * @param {number} gw
 */
export function cellAt(event, box, gh, gw) {
  const area = box.getBoundingClientRect();
  const column = Math.floor(((event.clientX - area.left) / area.width) * gw);
  const row = Math.floor(((event.clientY - area.top) / area.height) * gh);
  return row >= 0 && row < gh && column >= 0 && column < gw ? row * gw + column : -1;
}

/**
 * {index, row, column} of a cell, from 0 as everywhere on the page.
 * @param {number} index
 * @param {number} gw
 */
export const placeOf = (index, gw) => ({ index, row: Math.floor(index / gw), column: index % gw });

/**
 * Put a frame around one of rows x columns cells, or none where the index is below 0. It is the node's background,
 * which costs a browser less to move than a node.
 * @param {HTMLElement} node
 * @param {number} index
 * @param {number} rows
 * @param {number} columns
 */
export function placeCell(node, index, rows, columns) {
  if (node.hidden !== index < 0) node.hidden = index < 0;
  if (index < 0) return;
  /** @type {(at: number, count: number) => string} */
  const share = (at, count) => `${count > 1 ? (100 * at) / (count - 1) : 0}%`;
  const size = `${100 / columns}% ${100 / rows}%`;
  if (node.dataset.size !== size) node.style.backgroundSize = node.dataset.size = size;
  node.style.backgroundPosition = `${share(index % columns, columns)} ${share(Math.floor(index / columns), rows)}`;
}

/**
 * Show a loaded picture in an <img>, or none; the stage around it takes its shape, or that of gh x gw patches.
 * @param {HTMLImageElement} node
 * @param {HTMLElement} stage
 * @param {HTMLImageElement | null} picture
 * @param {number} gh
 * @param {number} gw
 */
export function placePicture(node, stage, picture, gh, gw) {
  node.hidden = !picture;
  if (picture) {
    node.src = picture.src;
    node.style.imageRendering = picture.naturalWidth < 64 ? "pixelated" : "auto";
  }
  stage.style.aspectRatio = picture ? `${picture.naturalWidth} / ${picture.naturalHeight}` : `${gw} / ${gh}`;
}
