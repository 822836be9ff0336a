// A table of shaded numbers. In scope: TEXT, base.js's `vit`, scores_png.js's `drawTable`; from Gradio: element, props, watch.
const root = element.querySelector(".scores");
const find = (selector) => root.querySelector(selector);
const lang = vit.language(props.lang);
const t = vit.translator(TEXT, lang);
const say = (caption) => vit.localise(caption, lang);
const DEEPEST = 60; // per cent of the shade, so that the ink stays readable on it

vit.fillText(root, t);
vit.fadeEnd(find(".frame"));

function filled({ text, strength, mark, title }) {
  const node = vit.element("td", {}, say(text));
  if (title) node.title = say(title);
  if (mark) node.className = "mark";
  if (strength) {
    node.dataset.side = strength > 0 ? "plus" : "minus";
    node.style.setProperty("--share", `${(DEEPEST * Math.abs(strength)).toFixed(1)}%`);
  }
  return node;
}

function showProgress(progress) {
  find(".doing").hidden = !progress;
  if (!progress) return;
  vit.setText(find(".doing p"), say(progress.text));
  find("progress").value = progress.done;
  find("progress").hidden = !progress.running;
}

function show() {
  const value = props.value;
  showProgress(value?.progress);
  const empty = !value?.rows?.length;
  vit.setText(find(".note"), say(value?.note));
  if (!empty) {
    const { head, rows, turned } = value, title = say(value.title);
    vit.setText(find("h4"), title);
    find(".frame").setAttribute("aria-label", t("scroll", { title }));
    find("table").classList.toggle("turned", turned);
    const heads = [value.corner, ...head].map((text) => vit.element("th", { scope: "col" }, vit.element("span", {}, say(text))));
    find("thead tr").replaceChildren(...heads);
    find("tbody").replaceChildren(...rows.map((row) =>
      vit.element("tr", row.quiet ? { class: "quiet" } : {}, vit.element("th", { scope: "row" }, say(row.head)), ...row.cells.map(filled))));
  }
  root.dataset.state = empty ? "empty" : value.progress?.running ? "running" : "ready";
  root.dataset.seq = Number(root.dataset.seq) + 1;
}

find(".png").addEventListener("click", () => {
  const { name, title, caption, corner, head, rows, progress, manifest } = props.value;
  vit.savePng(drawTable(root), `${name}.png`, manifest, {
    viewer: vit.nameOf(element, props), title: say(title), caption, corner: say(corner), columns: head.map(say),
    rows: rows.map((row) => ({ head: say(row.head), cells: row.cells.map(({ text }) => say(text)) })), progress: say(progress?.text),
  });
});
watch("value", show);
show();
