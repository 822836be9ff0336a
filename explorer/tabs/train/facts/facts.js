// A table of texts. In scope: TEXT and base.js's `vit`; from Gradio: element, props, watch.
const root = element.querySelector(".facts");
const lang = vit.language(props.lang);
const t = vit.translator(TEXT, lang);
const say = (caption) => vit.localise(caption, lang);
const mark = vit.fadeEnd(root);

function show() {
  const value = props.value;
  root.dataset.state = value ? "ready" : "empty";
  if (!value) return;
  const heads = value.head.map((text, i) => {
    const head = vit.element("th", { scope: "col" });
    if (value.colours?.[i]) {
      const swatch = vit.element("span", { class: "colour" });
      swatch.style.background = value.colours[i];
      head.append(swatch);
    }
    head.append(say(text) || t("field"));
    return head;
  });
  const rows = value.rows.map(([first, ...others]) =>
    vit.element("tr", {}, vit.element("th", { scope: "row" }, say(first)), ...others.map((text) => vit.element("td", {}, say(text)))));
  const parts = [vit.element("table", {}, vit.element("thead", {}, vit.element("tr", {}, ...heads)), vit.element("tbody", {}, ...rows))];
  if (value.note) parts.unshift(vit.element("p", {}, say(value.note)));
  if (value.title) parts.unshift(vit.element("h4", {}, say(value.title)));
  root.replaceChildren(...parts);
  mark();
  root.dataset.seq = Number(root.dataset.seq) + 1;
}
watch("value", show);
show();
