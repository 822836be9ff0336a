// Pictures as buttons.
import { createElement, setText } from "../../../../viewer/kit/scripts/nodes.js";
import { localise } from "../../../../viewer/kit/scripts/words.js";

/** @param {import("../../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, trigger, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);

  function tile(item, openable) {
    const percent = `${(100 * item.probability).toFixed(1)}%`;
    const line = (cls, key, values) => {
      const text = t(key, values);
      return createElement("span", { class: cls, title: text }, text);
    };
    const node = createElement("button", { type: "button", class: "tile" });
    if (item.file) {
      const image = createElement("img", { src: item.file.url, alt: "", loading: "lazy" });
      image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 64));
      node.append(image);
    } else node.append(createElement("span", { class: "broken" }, item.error));
    node.append(
      line("is", "is", { name: item.true }),
      line(item.right ? "taken right" : "taken", "taken", { name: item.predicted }),
      line("sure", "sure", { percent }),
    );
    node.setAttribute(
      "aria-label",
      t("label", { file: item.name, true: item.true, predicted: item.predicted, percent }),
    );
    node.disabled = !openable || !item.file;
    node.addEventListener("click", () => trigger("show", { position: item.position }));
    return createElement("li", {}, node);
  }

  function show() {
    const value = props.value;
    root.dataset.state = value ? "ready" : "empty";
    if (!value) return;
    const { items, total, offset } = value;
    setText(find(".title"), localise(value.title, lang));
    setText(find(".note"), localise(value.note, lang) || (value.openable && items.length ? t("hint") : ""));
    find("ul").replaceChildren(...items.map((item) => tile(item, value.openable)));
    find(".fetch").hidden = !value.fetch;
    find(".pages").hidden = total <= items.length;
    setText(find(".place"), t("place", { first: offset + 1, last: offset + items.length, total }));
    find(".back").disabled = offset === 0;
    find(".on").disabled = offset + items.length >= total;
    root.dataset.seq = Number(root.dataset.seq) + 1;
    if (value.asked) {
      // chosen just now, maybe out of sight
      find(".title").scrollIntoView({ block: "nearest", behavior: "smooth" });
      find(".title").focus({ preventScroll: true });
    }
  }
  find(".fetch").addEventListener("click", () => trigger("fetch", {}));
  find(".back").addEventListener("click", () =>
    trigger("more", { offset: Math.max(0, props.value.offset - props.value.page) }),
  );
  find(".on").addEventListener("click", () => trigger("more", { offset: props.value.offset + props.value.page }));
  watch("value", show);
  show();
}
