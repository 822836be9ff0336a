// A table of texts.
import { createElement, fadeEnd } from "../../../viewer/kit/scripts/nodes.js";
import { localise } from "../../../viewer/kit/scripts/words.js";

/** @param {import("../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, watch, lang, t }) {
  const say = (caption) => localise(caption, lang);
  const mark = fadeEnd(root);

  function show() {
    const value = props.value;
    root.dataset.state = value ? "ready" : "empty";
    if (!value) return;
    const heads = value.head.map((text, i) => {
      const head = createElement("th", { scope: "col" });
      if (value.colours?.[i]) {
        const swatch = createElement("span", { class: "colour" });
        swatch.style.background = value.colours[i];
        head.append(swatch);
      }
      head.append(say(text) || t("field"));
      return head;
    });
    const rows = value.rows.map(([first, ...others]) =>
      createElement(
        "tr",
        {},
        createElement("th", { scope: "row" }, say(first)),
        ...others.map((text) => createElement("td", {}, say(text))),
      ),
    );
    const parts = [
      createElement(
        "table",
        {},
        createElement("thead", {}, createElement("tr", {}, ...heads)),
        createElement("tbody", {}, ...rows),
      ),
    ];
    if (value.note) parts.unshift(createElement("p", {}, say(value.note)));
    if (value.title) parts.unshift(createElement("h4", {}, say(value.title)));
    root.replaceChildren(...parts);
    mark();
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }
  watch("value", show);
  show();
}
