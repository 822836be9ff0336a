// The page's header: the tagline, and the link to the other language.
import { chooseLanguage } from "../viewer/kit/scripts/words.js";

/** @param {{element: HTMLElement, props: {text: Record<string, {tagline: string, other_language: string}>}}} given */
export function mount({ element, props }) {
  const lang = chooseLanguage(null),
    other = lang === "zh" ? "en" : "zh",
    text = props.text[lang];
  element.querySelector(".tagline").textContent = text.tagline;
  const link = element.querySelector(".language");
  link.textContent = text.other_language;
  link.href = `?lang=${other}`;
  link.addEventListener("click", (event) => {
    // by a reload, which keeps picture, model, tab and the run in the address
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const address = new URL(location.href);
    address.searchParams.delete("lang");
    history.replaceState(history.state, "", address);
    localStorage.setItem("vit_explorer_language", other);
    location.reload();
  });
}
