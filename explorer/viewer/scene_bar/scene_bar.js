// Fills the bar from props.value = {seq, top: [[label, probability], ...], card, note}. Texts go in as text.
import { createElement } from "../kit/scripts/nodes.js";

/** @param {import("../kit/scripts/mount.js").Context} context */
export function mount({ root, props, watch }) {
  function show() {
    const value = props.value;
    if (!value) return;
    const items = value.top.map(([label, probability]) => {
      const percent = (100 * probability).toFixed(1),
        bar = createElement("span", { class: "bar" });
      bar.style.width = `${percent}%`;
      return createElement(
        "li",
        { title: label },
        createElement("span", { class: "label" }, label),
        createElement("span", { class: "percent" }, `${percent} %`),
        bar,
      );
    });
    root.querySelector(".predictions").replaceChildren(...items);
    root.querySelector(".card").textContent = value.card;
    root.querySelector(".note").textContent = value.note;
    root.dataset.seq = value.seq;
    root.dataset.state = "ready";
  }

  watch("value", show);
  show();
}
