// Elements of a component: made, found and filled. A text only ever goes in as text.

/**
 * createElement("button", {class: "x", type: "button"}, "text", child): texts are never read as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(string | Node)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function createElement(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * {name: node} of every [data-part="name"] below `root`, and of itself.
 * @param {HTMLElement} root
 * @returns {Record<string, any>} each of the kind that the component's markup says
 */
export const findParts = (root) =>
  Object.fromEntries(
    [root, ...root.querySelectorAll("[data-part]")].map((node) => [node.getAttribute("data-part"), node]),
  );

/**
 * Set a node's text where it differs, which spares the browser a layout.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  const first = node.firstChild;
  if (first instanceof Text && first === node.lastChild) {
    if (first.data !== text) first.data = text;
  } else node.textContent = text;
}

/**
 * The component's elem_id. Its props say it, but not where Gradio mounts it late, in a tab that opens first now.
 * @param {HTMLElement} element
 * @param {{viewer?: string}} props
 */
export const viewerName = (element, props) => props.viewer || element.closest("[id]:not([id^='html-'])")?.id || "";

/**
 * Fade the right edge of a frame that scrolls sideways while there is more behind it (base.css). Returns a function to
 * call where the frame gets other children.
 * @param {HTMLElement} frame
 */
export function fadeEnd(frame) {
  const mark = () => frame.classList.toggle("more", frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 1);
  const sizes = new ResizeObserver(mark);
  for (const node of [frame, ...frame.children]) sizes.observe(node);
  frame.addEventListener("scroll", mark, { passive: true });
  return mark;
}
