// Every head, MLP and layer as a switch, coloured by what the class loses without it.
import { colourTable, cssColour } from "../../viewer/kit/scripts/colours.js";
import { arrowStep } from "../../viewer/kit/scripts/keyboard.js";
import { showLegend } from "../../viewer/kit/scripts/legend.js";
import { dispatch, listen } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, fadeEnd, findParts, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { formatNumber } from "../../viewer/kit/scripts/numbers.js";
import { createSheet, savePng } from "../../viewer/kit/scripts/saving.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const signed = (value, digits = 2) => {
  const size = Math.abs(value).toFixed(digits),
    sign = Number(size) === 0 ? "" : value > 0 ? "+" : "−";
  return sign + size;
};

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, trigger, watch, t }) {
  const part = findParts(root);
  let view = null,
    off = { heads: [], mlps: [], layers: [], edits: null },
    cells = [],
    running = false,
    stopped = false;

  fadeEnd(part.frame);
  part.run.addEventListener("click", () => {
    running = true;
    stopped = false;
    draw();
    trigger("ablate", { edits: off.edits ?? {} });
  });
  part.stop.addEventListener("click", () => {
    stop();
    draw();
  });
  part.save.addEventListener("click", exportPng);
  listen(root, "vit:lab", ({ detail }) => {
    if (detail.from !== "bench") return;
    if (running && !same(detail.edits, off.edits)) stop(); // what it measures is no longer there
    off = detail;
    if (view) draw();
  });

  function load() {
    const value = props.value?.seq ? props.value : null;
    if (value?.ablation && view && view.seq !== value.seq) return; // of a picture or model that is no longer there
    const rebuild = value && (!view || view.seq !== value.seq);
    root.dataset.seq = Number(root.dataset.seq) + 1;
    if (rebuild) running = stopped = false;
    view = value;
    root.dataset.state = value ? "ready" : "empty";
    if (!value) return;
    if (rebuild) build();
    if (!off.edits) dispatch("vit:lab", { from: "parts", hello: true });
    const { ablation } = value;
    running = Boolean(ablation && ablation.done < ablation.total && !stopped);
    draw();
  }

  function stop() {
    running = false;
    stopped = true;
    trigger("stop", {});
  }

  const partName = (layer, column) => {
    const kind = column < view.heads ? "head" : column === view.heads ? "mlp" : "layer";
    return t(`part_${kind}`, { layer, head: column });
  };

  function build() {
    const { layers, heads } = view,
      columns = heads + 2;
    const names = [...Array(heads).keys()].map(String).concat(t("column_mlp"), t("column_layer"));
    const head = createElement(
      "tr",
      {},
      createElement("th", {}, t("column_corner")),
      ...names.map((name) => createElement("th", { scope: "col" }, name)),
    );
    cells = [];
    const rows = Array.from({ length: layers }, (_, layer) => {
      const row = createElement("tr", {}, createElement("th", { scope: "row" }, String(layer)));
      for (let column = 0; column < columns; column++) {
        const button = createElement("button", {
          "type": "button",
          "tabindex": layer || column ? "-1" : "0",
          "data-cell": `${layer},${column}`,
        });
        button.addEventListener("click", () => {
          dispatch("vit:lab", { from: "parts", toggle: [layer, column] });
          say(layer, column);
        });
        button.addEventListener("pointerenter", () => say(layer, column));
        button.addEventListener("focus", () => say(layer, column));
        button.addEventListener("keydown", (event) => {
          const next = arrowStep(event.key, layer * columns + column, layers, columns);
          if (next === null) return;
          event.preventDefault();
          button.tabIndex = -1;
          cells[next].button.tabIndex = 0;
          cells[next].button.focus();
        });
        cells.push({ button, layer, column });
        row.append(createElement("td", {}, button));
      }
      return row;
    });
    part.grid.replaceChildren(createElement("thead", {}, head), createElement("tbody", {}, ...rows));
  }

  function isOff(layer, column) {
    if (column < view.heads) return off.heads.some(([l, h]) => l === layer && h === column);
    return (column === view.heads ? off.mlps : off.layers).includes(layer);
  }

  const lossOf = (layer, column) => view.ablation?.logits[layer][column] ?? null;

  /** What a part does, in words. */
  function say(layer, column) {
    const loss = lossOf(layer, column),
      name = partName(layer, column),
      state = t(isOff(layer, column) ? "is_off" : "is_on");
    if (loss === null) return setText(part.reading, `${name}: ${state}`);
    const points = signed(100 * view.ablation.probabilities[layer][column], 1);
    setText(
      part.reading,
      `${name}: ${state}. ${t("loss", { label: view.ablation.label, logit: signed(loss), points })}`,
    );
  }

  /** Of which picture and model the table is; and what is out of date says so. */
  function about({ label, logit, probability, changed }, stale) {
    const values = { label, logit: logit.toFixed(2), probability: formatNumber(probability, "percent") };
    return t(changed ? "of_changed" : "of_unchanged", values) + (stale ? ` ${t("stale")}` : "");
  }

  function draw() {
    if (!view) return;
    const { ablation } = view,
      stale = Boolean(ablation) && !same(ablation.of, off.edits);
    dispatch("vit:lab", { from: "parts", ablated: Boolean(ablation) && !stale });
    root.toggleAttribute("data-stale", stale);
    part.about.hidden = !ablation;
    setText(part.about, ablation ? about(ablation, stale) : "");
    const known = cells.map(({ layer, column }) => lossOf(layer, column)).filter((value) => value !== null);
    const edge = Math.max(...known.map(Math.abs), 1e-9),
      table = colourTable("diverging");
    for (const { button, layer, column } of cells) {
      const loss = lossOf(layer, column);
      button.setAttribute("aria-pressed", isOff(layer, column));
      button.setAttribute(
        "aria-label",
        `${partName(layer, column)}, ${t(isOff(layer, column) ? "is_off" : "is_on")}${loss === null ? "" : `, ${signed(loss)}`}`,
      );
      button.toggleAttribute("data-measured", loss !== null);
      const pixel = loss === null ? null : table[Math.round(127.5 + (127.5 * loss) / edge)];
      button.style.backgroundColor = pixel === null ? "" : cssColour(pixel);
      button.style.color = loss !== null && Math.abs(loss) > 0.55 * edge ? "#fff" : loss === null ? "" : "#111";
      setText(button, loss === null ? "" : signed(loss, 1));
    }
    part.run.hidden = running || !view.head;
    part.stop.hidden = !running;
    part.save.hidden = !ablation;
    part.progress.hidden = !running;
    if (ablation) part.progress.value = ablation.done / ablation.total;
    else part.progress.removeAttribute("value");
    part.legend.hidden = !ablation;
    root.dataset.state = running ? "running" : ablation && ablation.done === ablation.total ? "complete" : "ready";
    if (!ablation) return;
    showLegend(part, table, [signed(-edge), signed(edge)]);
    setText(part["legend-note"], t("legend", { label: ablation.label }));
  }

  /** The table as a picture. */
  function exportPng() {
    const { layers, heads, ablation } = view,
      size = 54,
      left = 70,
      top = 90,
      columns = heads + 2;
    const { canvas, context, write } = createSheet(Math.max(left + columns * size + 30, 620), top + layers * size + 60);
    write(t("legend", { label: ablation.label }), 20, 32, 18, canvas.width - 40);
    write(part.about.textContent, 20, 56, 14, canvas.width - 40);
    context.textAlign = "center";
    [...part.grid.querySelectorAll("thead th")]
      .slice(1)
      .forEach((name, column) => context.fillText(name.textContent, left + (column + 0.5) * size, top - 12, size));
    for (const { button, layer, column } of cells) {
      context.fillStyle = button.style.backgroundColor || "#eee";
      context.fillRect(left + column * size, top + layer * size, size - 3, size - 3);
      context.fillStyle = button.style.color || "#111";
      context.fillText(button.textContent, left + (column + 0.5) * size, top + (layer + 0.55) * size, size);
      if (!column) write(String(layer), left - 22, top + (layer + 0.55) * size, 14);
    }
    savePng(canvas, "ablation.png", view.manifest, {
      viewer: viewerName(element, props),
      about: part.about.textContent,
      layers,
      heads,
      ablation,
    });
  }

  watch("value", load);
  load(); // last, when everything above has its value
}
