// A table of shaded numbers.
import { createElement, fadeEnd, setText, viewerName } from "../kit/scripts/nodes.js";
import { savePng } from "../kit/scripts/saving.js";
import { localise } from "../kit/scripts/words.js";
import { drawTable } from "./png.js";

const DEEPEST = 60; // per cent of the shade, so that the ink stays readable on it

/** @param {import("../kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);
  const say = (caption) => localise(caption, lang);

  fadeEnd(find(".frame"));

  function filled({ text, strength, mark, title }) {
    const node = createElement("td", {}, say(text));
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
    setText(find(".doing p"), say(progress.text));
    find("progress").value = progress.done;
    find("progress").hidden = !progress.running;
  }

  function show() {
    const value = props.value;
    showProgress(value?.progress);
    const empty = !value?.rows?.length;
    setText(find(".note"), say(value?.note));
    if (!empty) {
      const { head, rows, turned } = value,
        title = say(value.title);
      setText(find("h4"), title);
      find(".frame").setAttribute("aria-label", t("scroll", { title }));
      find("table").classList.toggle("turned", turned);
      const heads = [value.corner, ...head].map((text) =>
        createElement("th", { scope: "col" }, createElement("span", {}, say(text))),
      );
      find("thead tr").replaceChildren(...heads);
      find("tbody").replaceChildren(
        ...rows.map((row) =>
          createElement(
            "tr",
            row.quiet ? { class: "quiet" } : {},
            createElement("th", { scope: "row" }, say(row.head)),
            ...row.cells.map(filled),
          ),
        ),
      );
    }
    root.dataset.state = empty ? "empty" : value.progress?.running ? "running" : "ready";
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  find(".png").addEventListener("click", () => {
    const { name, title, caption, corner, head, rows, progress, manifest } = props.value;
    savePng(drawTable(root, say(title), caption), `${name}.png`, manifest, {
      viewer: viewerName(element, props),
      title: say(title),
      caption,
      corner: say(corner),
      columns: head.map(say),
      rows: rows.map((row) => ({ head: say(row.head), cells: row.cells.map(({ text }) => say(text)) })),
      progress: say(progress?.text),
    });
  });
  watch("value", show);
  show();
}
