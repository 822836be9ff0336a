// Starts a component: its style, markup and words into Gradio's element, then its own script. Each instance has a state
// of its own, since a script keeps nothing outside of its `mount`; modules, style sheets and tables are shared.
import { createElement } from "./nodes.js";
import { chooseLanguage, translateTexts, translator } from "./words.js";

/**
 * @typedef {object} Given what Gradio gives to a component's script
 * @property {HTMLElement} element Gradio's element around the component
 * @property {any} props its properties; `props.value` is what Python sent
 * @property {(event: string, data?: object) => void} trigger
 * @property {Record<string, (request: object) => Promise<any>>} server Python functions of the component
 * @property {(file: File) => Promise<{path: string, url: string}>} upload
 * @property {(names: string | string[], handler: () => void) => void} watch
 */
/**
 * @typedef {object} Own what belongs to this component alone
 * @property {HTMLElement} root the outermost element of its markup
 * @property {import("./words.js").Words} words
 * @property {import("./words.js").Language} lang
 * @property {import("./words.js").Translate} t
 * @property {Record<string, any>} constants what Python set for this instance
 */
/** @typedef {Given & Own} Context what a script's `mount` takes */
/** @typedef {{name: string, style: string, markup: string, words: import("./words.js").Words}} Parts */
/** @typedef {{mount: (context: Context) => void}} Script */

/** Names of components whose style sheet the page has. @type {Set<string>} */
const styled = new Set();

/**
 * Put a component's parts into Gradio's element and start its script. Its rules hold in its elements only, with the
 * weight of an id.
 * @param {Script} script
 * @param {Parts} parts
 * @param {{events: string[], constants: Record<string, any>}} about
 * @param {Given} given
 */
export function mountComponent(script, { name, style, markup, words }, { events, constants }, given) {
  const { element, props } = given,
    lang = chooseLanguage(props.lang),
    t = translator(words, lang);
  if (!styled.has(name)) {
    styled.add(name);
    document.head.append(createElement("style", {}, `:is(#vit, [data-vit="${name}"]) {\n${style}\n}`));
  }
  element.dataset.vit = name; // not a class: those are Gradio's
  element.innerHTML = markup;
  const root = element.firstElementChild;
  if (!(root instanceof HTMLElement)) throw new Error(`the markup of ${name} has no element`);
  translateTexts(root, t);
  /** @type {Given["trigger"]} */
  const trigger = (event, data) => {
    if (!events.includes(event)) throw new Error(`${name} has no event "${event}": add it to its script_events`);
    given.trigger(event, data);
  };
  script.mount({ ...given, trigger, root, words, lang, t, constants });
}
