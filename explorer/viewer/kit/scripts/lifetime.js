// Work that follows the page's frames, events, theme and sizes, for as long as a component is on the page.

/**
 * A function that has `draw` called once before the next paint, however often it is called.
 * @param {() => void} draw
 */
export function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/**
 * document.addEventListener for as long as `node` is on the page.
 * @param {Node} node
 * @param {string} type
 * @param {(event: any) => void} handler
 */
export function listen(node, type, handler) {
  /** @param {Event} event */
  const wrapped = (event) => (node.isConnected ? handler(event) : document.removeEventListener(type, wrapped));
  document.addEventListener(type, wrapped);
}

/**
 * Say something to the other components of the page, as a CustomEvent on `document`.
 * @param {string} type
 * @param {object} detail
 */
export const dispatch = (type, detail) => document.dispatchEvent(new CustomEvent(type, { detail }));

/**
 * Call `redraw` when the page's theme changes or `node` its size, also when the tab around it opens. Once the node has
 * left the page, `release` is called in its place, and then nothing more.
 * @param {HTMLElement} node
 * @param {(cause: "theme" | "size") => void} redraw
 * @param {() => void} [release]
 */
export function followLook(node, redraw, release = () => {}) {
  /** @param {"theme" | "size"} cause */
  const noticed = (cause) => {
    if (node.isConnected) return redraw(cause);
    themes.disconnect();
    sizes.disconnect();
    release();
  };
  const themes = new MutationObserver(() => noticed("theme")),
    sizes = new ResizeObserver(() => noticed("size"));
  themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  sizes.observe(node);
}
