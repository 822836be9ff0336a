// The page's two languages: visible strings by their keys, and captions that come from Python.

/** @typedef {"en" | "zh"} Language */
/** @typedef {Record<Language, Record<string, string>>} Words every visible string of a component, by its key */
/** @typedef {string | number | null | undefined | {en?: string, zh?: string}} Caption a text of Python's */
/** @typedef {(key: string, values?: Record<string, unknown>) => string} Translate */

/**
 * The language to show: the component's own, else the browser's.
 * @param {string | null | undefined} own
 * @returns {Language}
 */
export function chooseLanguage(own) {
  if (own === "zh" || own === "en") return own;
  return (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
}

/**
 * A caption in one language: one string is for both; English stands in where the language is missing.
 * @param {Caption} caption
 * @param {Language} lang
 */
export const localise = (caption, lang) =>
  caption && typeof caption === "object" ? (caption[lang] ?? caption.en ?? "") : String(caption ?? "");

/**
 * t("key", {name: value}): the string in `lang`, else in English; {name} in it is replaced. Throws for an unknown key.
 * @param {Words} words
 * @param {Language} lang
 * @returns {Translate}
 */
export const translator =
  (words, lang) =>
  (key, values = {}) => {
    const text = words[lang]?.[key] ?? words.en?.[key];
    if (text === undefined) throw new Error(`there is no text for "${key}"`);
    return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  };

/**
 * Fill the text of every [data-text="key"], and the aria-label of every [data-label="key"], below `root`.
 * @param {HTMLElement} root
 * @param {Translate} t
 */
export function translateTexts(root, t) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.getAttribute("data-text") ?? "");
  for (const node of root.querySelectorAll("[data-label]"))
    node.setAttribute("aria-label", t(node.getAttribute("data-label") ?? ""));
}
