// Controls that several components have: checkboxes, a choice of one, buttons that are pressed or not.
import { createElement } from "./nodes.js";

/** @typedef {import("./words.js").Translate} Translate */

/**
 * Have each checkbox `part[name]` call choose({name: checked}).
 * @param {Record<string, any>} part
 * @param {string[]} names
 * @param {(changes: Record<string, boolean>) => void} choose
 */
export function bindCheckboxes(part, names, choose) {
  for (const name of names) part[name].addEventListener("change", () => choose({ [name]: part[name].checked }));
}

/**
 * Have each button [data-name="option"] below `root` call choose({name: option}).
 * @param {HTMLElement} root
 * @param {string} name
 * @param {(changes: Record<string, string>) => void} choose
 */
export function bindOptions(root, name, choose) {
  for (const button of optionsOf(root, name)) {
    button.addEventListener("click", () => choose({ [name]: button.dataset[name] ?? "" }));
  }
}

/**
 * Show the button [data-name="option"] as pressed, and its neighbours as not.
 * @param {HTMLElement} root
 * @param {string} name
 * @param {unknown} option
 */
export function pressOption(root, name, option) {
  for (const button of optionsOf(root, name))
    button.setAttribute("aria-pressed", String(button.dataset[name] === String(option)));
}

/**
 * Fill a list with colour maps; `choose({colours: name})` is called when another is chosen. Those that have no name of
 * their own (viridis, ...) go by their key.
 * @param {HTMLSelectElement} list
 * @param {Translate} t
 * @param {(changes: {colours: string}) => void} choose
 * @param {string[]} [names]
 */
export function bindColours(list, t, choose, names = ["viridis", "magma", "inferno", "turbo", "grey"]) {
  const label = (/** @type {string} */ name) => (name === "grey" || name === "diverging" ? t(name) : name);
  list.replaceChildren(...names.map((name) => createElement("option", { value: name }, label(name))));
  list.addEventListener("change", () => choose({ colours: list.value }));
}

/** @type {(root: HTMLElement, name: string) => NodeListOf<HTMLElement>} */
const optionsOf = (root, name) => root.querySelectorAll(`[data-${name}]`);

let groups = 0;

/**
 * Fill `box` with radio buttons, one for each option; `choose(option)` is called when another is chosen.
 * @param {HTMLElement} box
 * @param {string[]} options
 * @param {string} chosen
 * @param {(option: string) => string} label
 * @param {(option: string) => void} choose
 */
export function addSegments(box, options, chosen, label, choose) {
  const name = `vit-segments-${++groups}`; // no two groups of a page may share one
  for (const option of options) {
    const input = createElement("input", { type: "radio", name, value: option });
    input.checked = option === chosen;
    input.addEventListener("change", () => choose(option));
    box.append(createElement("label", {}, input, createElement("span", {}, label(option))));
  }
}

/**
 * Copy a text; says so on the button for two seconds. False where the browser does not permit it.
 * @param {HTMLElement} button
 * @param {string} text
 * @param {Translate} t with "copy" and "copied"
 */
export async function copyText(button, text, t) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return false;
  }
  button.textContent = t("copied");
  setTimeout(() => (button.textContent = t("copy")), 2000);
  return true;
}
