// Small multiples of a learning-rate sweep.
import { createElement, setText } from "../../../../viewer/kit/scripts/nodes.js";
import { offerCsv } from "../../../../viewer/kit/scripts/saving.js";
import { localise } from "../../../../viewer/kit/scripts/words.js";

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** `scale`: the steps and the accuracies that the box of 100 x 50 spans. */
function curve(trial, { last, low, high }) {
  const svg = drawn("svg", { "viewBox": "0 0 100 50", "preserveAspectRatio": "none", "aria-hidden": "true" });
  svg.append(drawn("line", { x1: 0, y1: 50, x2: 100, y2: 50, class: "axis" }));
  const points = trial.values.map(
    (value, i) => `${(100 * trial.steps[i]) / last},${50 - (50 * (value - low)) / (high - low)}`,
  );
  if (points.length === 1) points.unshift(`0,${points[0].split(",")[1]}`); // a level line for a single measurement
  if (points.length) svg.append(drawn("polyline", { points: points.join(" ") }));
  return svg;
}

const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(2)}%`);

/** @param {import("../../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, trigger, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);

  function show() {
    const value = props.value;
    root.dataset.state = value?.trials?.length ? "ready" : "empty";
    if (!value?.trials?.length) return;
    const values = value.trials.flatMap((trial) => trial.values),
      steps = value.trials.flatMap((trial) => trial.steps);
    const low = values.length ? Math.min(...values) : 0,
      high = Math.max(...values, low + 1e-6);
    const scale = { last: Math.max(...steps, 1), low, high };
    const span = values.length ? t("scale", { low: percent(low), high: percent(high) }) : "";
    setText(find(".note"), `${localise(value.note, lang)} ${span}`);
    find("ul").replaceChildren(
      ...value.trials.map((trial) => {
        const { rate } = trial,
          accuracy = percent(trial.accuracy);
        const head = createElement("div", { class: "line" }, createElement("span", {}, t("rate", { rate })));
        if (trial.picked) head.append(createElement("span", { class: "badge" }, t("picked")));
        const foot = createElement(
          "div",
          { class: "line" },
          createElement("strong", {}, accuracy),
          createElement("span", { class: "quiet" }, trial.values.length ? "" : t("none")),
        );
        const item = createElement("li", { class: trial.picked ? "picked" : "" }, head, curve(trial, scale), foot);
        item.setAttribute(
          "aria-label",
          t("spoken", { rate, accuracy, picked: trial.picked ? `, ${t("picked")}` : "" }),
        );
        return item;
      }),
    );
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  find(".csv").addEventListener("click", () => {
    const lines = ["rate,step,held_out_accuracy,picked"];
    for (const { rate, steps, values, picked } of props.value.trials)
      values.forEach((value, i) => lines.push(`${rate},${steps[i]},${value},${picked}`));
    offerCsv(lines, "sweep.csv");
  });
  find(".npz").addEventListener("click", () => trigger("npz", {}));
  watch("value", show);
  show();
}
