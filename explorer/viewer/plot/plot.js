// One Plotly figure: drawn when it comes into sight, in the page's colours, linked to a viewer, walked with the
// keyboard.
import { followLook, listen } from "../kit/scripts/lifetime.js";
import { createElement, viewerName } from "../kit/scripts/nodes.js";
import { offerPng } from "../kit/scripts/saving.js";
import { localise } from "../kit/scripts/words.js";
import { PointWalk } from "./keys.js";

/** plotly.js, fetched once for all plots of the page, when the first is in sight. */
function library(url) {
  if (window.Plotly) return Promise.resolve();
  window.vitPlotly ??= new Promise((resolve, reject) => {
    const script = createElement("script", { src: url });
    script.onload = resolve;
    script.onerror = () => {
      window.vitPlotly = null; // the next value tries again
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
  return window.vitPlotly;
}

/** A title of a Plotly layout as plain words. */
const plain = (given) =>
  String((typeof given === "string" ? given : given?.text) ?? "")
    .replace(/<[^>]*>/g, " ")
    .trim();

/** @param {import("../kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, watch, words, lang, t }) {
  const plot = root.querySelector(".vit-plot-canvas");
  const note = root.querySelector(".vit-plot-note");
  const spoken = root.querySelector(".vit-plot-spoken");
  const MODEBAR = Object.fromEntries(
    ["zoom", "pan", "in", "out", "auto", "reset"].map((key) => [words.en[key], t(key)]),
  );

  let shown = null; // the value on the screen: {figure, link, caption, manifest}
  let current = null; // what the linked viewer last said it shows
  let config = null; // plotly.js's own settings
  let inSight = false; // on the screen or nearly; drawing takes long, and much of a page is never looked at
  let ticket = 0; // of the newest load: an older one that finishes late is dropped
  const walk = new PointWalk(root, plot, spoken, clicked);

  /** The same structure with every {"en": ..., "zh": ...} in it replaced by the page's language. */
  function localised(part) {
    if (Array.isArray(part)) return typeof part[0] === "object" ? part.map(localised) : part;
    if (part === null || typeof part !== "object") return part;
    if (typeof part.en === "string") return localise(part, lang);
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, localised(value)]));
  }

  /** A Plotly template in the page's own colours; whatever the figure says itself stands before it. */
  function template() {
    const style = getComputedStyle(root),
      colour = (name) => style.getPropertyValue(name).trim();
    const ink = colour("--body-text-color"),
      line = colour("--border-color-primary"),
      paper = colour("--background-fill-primary");
    const axis = {
      gridcolor: line,
      linecolor: line,
      zerolinecolor: line,
      automargin: true,
      title: { standoff: 10, font: { size: 13 } },
    };
    return {
      layout: {
        paper_bgcolor: paper,
        plot_bgcolor: paper,
        font: { family: style.fontFamily, size: 12.5, color: ink },
        title: {
          font: { size: 16, weight: 700 },
          x: 0,
          xref: "container",
          xanchor: "left",
          y: 0.98,
          yanchor: "top",
          pad: { l: 4 },
        },
        margin: { l: 52, r: 14, t: 46, b: 46 },
        colorway: ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d"],
        xaxis: axis,
        yaxis: axis,
        coloraxis: { colorbar: { outlinewidth: 0 } },
        hoverlabel: {
          bgcolor: colour("--background-fill-secondary"),
          bordercolor: line,
          font: { family: style.fontFamily, color: ink },
        },
        modebar: {
          bgcolor: "rgba(0,0,0,0)",
          color: colour("--body-text-color-subdued"),
          activecolor: colour("--color-accent"),
        },
      },
    };
  }

  /**
   * Where the linked viewer's current choice lies, as {trace, x, y}, or null. Heat maps hold customdata as rows of
   * cells.
   */
  function chosenPoint() {
    if (!shown.link || !current) return null;
    const matches = (data) =>
      data != null && shown.link.fields.every((field, i) => [].concat(data)[i] === current[field]);
    for (const trace of shown.figure.data) {
      const { customdata } = trace;
      if (!Array.isArray(customdata) || trace.visible === false) continue;
      if (Array.isArray(customdata[0]?.[0])) {
        for (const [i, row] of customdata.entries()) {
          const j = row.findIndex(matches);
          if (j >= 0) return { trace, x: trace.x?.[j] ?? j, y: trace.y?.[i] ?? i };
        }
      } else {
        const i = customdata.findIndex(matches);
        if (i >= 0) return { trace, x: trace.x?.[i] ?? i, y: trace.y?.[i] ?? i };
      }
    }
    return null;
  }

  /** A trace that rings the chosen point; without points where nothing is chosen. */
  function ring() {
    const point = chosenPoint(),
      color = getComputedStyle(root).getPropertyValue("--body-text-color").trim();
    const marker = { symbol: "circle-open", size: 16, color, line: { width: 2 } };
    const at = point
      ? { x: [point.x], y: [point.y], xaxis: point.trace.xaxis, yaxis: point.trace.yaxis }
      : { x: [], y: [] };
    return { type: "scatter", mode: "markers", marker, hoverinfo: "skip", showlegend: false, cliponaxis: false, ...at };
  }

  /** The figure's title, for screen readers and the name of a saved file. */
  const title = () => plain(shown.figure.layout.title) || plain(props.label) || t("chart");

  function draw() {
    const { figure, link } = shown;
    const layout = { height: props.height, uirevision: "kept", ...figure.layout, template: template(), autosize: true };
    // Says what it shows.
    const saving = { name: "save", title: t("save"), icon: window.Plotly.Icons.camera, click: save };
    config ??= {
      // made once: plotly.js starts over, and forgets the zoom, where it differs from the last
      displaylogo: false,
      showSendToCloud: false,
      ...(matchMedia("(hover: none)").matches // where the toolbar never goes, it would lie on the title
        ? { modeBarButtons: [[saving]] }
        : { modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage"], modeBarButtonsToAdd: [saving] }),
      locale: "page",
      locales: { page: { dictionary: MODEBAR, format: {} } },
    };
    return window.Plotly.react(plot, link ? [...figure.data, ring()] : figure.data, layout, config);
  }

  async function save() {
    const { width, height } = plot._fullLayout,
      { data, layout } = shown.figure;
    const png = await (
      await fetch(await window.Plotly.toImage(plot, { format: "png", scale: 2, width, height }))
    ).blob();
    offerPng(
      png,
      `${title()
        .replace(/[^\p{L}\p{N}]+/gu, "-")
        .toLowerCase()}.png`,
      shown.manifest,
      {
        viewer: viewerName(element, props),
        title: title(),
        caption: localise(shown.caption, lang),
        x: plain(layout.xaxis?.title),
        y: plain(layout.yaxis?.title),
        traces: data.map((trace) => trace.name ?? ""),
      },
    );
  }

  function clicked({ points }) {
    const point = points.find(({ customdata }) => customdata !== undefined);
    if (!shown.link || !point) return;
    const detail = { viewer: shown.link.viewer };
    shown.link.fields.forEach((field, i) => (detail[field] = [].concat(point.customdata)[i]));
    document.dispatchEvent(new CustomEvent(shown.link.event, { detail }));
  }

  async function load() {
    const value = props.value,
      mine = ++ticket;
    note.hidden = true;
    if (!value?.figure) {
      root.dataset.state = "empty";
      return;
    }
    root.dataset.state = "loading";
    plot.style.minHeight = `${value.figure.layout.height ?? props.height}px`;
    note.hidden = Boolean(window.Plotly);
    note.textContent = t("loading");
    if (!inSight) return;
    try {
      await library(value.library.url);
    } catch {
      if (mine !== ticket) return;
      root.dataset.state = "error";
      note.textContent = t("failed");
      return;
    }
    if (mine !== ticket) return;
    note.hidden = true;
    shown = { figure: localised(value.figure), link: value.link, caption: value.caption, manifest: value.manifest };
    current ??= window.vitStates?.[value.link?.viewer] ?? null; // a viewer that spoke before this plot was on the page
    root.classList.toggle("vit-linked", Boolean(value.link));
    plot.setAttribute("aria-label", title());
    const first = !plot.classList.contains("js-plotly-plot");
    await draw();
    if (first) plot.on("plotly_click", clicked);
    if (mine !== ticket) return;
    walk.offer((count) => t(shown.link ? "walk_select" : "walk", { title: title(), count }));
    root.dataset.state = "ready";
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  const drawn = () => shown && root.dataset.state === "ready";

  listen(element, "vit:state", ({ detail }) => {
    const link = props.value?.link;
    if (!link || detail?.viewer !== link.viewer) return;
    const changed = !current || link.fields.some((field) => current[field] !== detail[field]);
    current = detail;
    if (changed && drawn()) draw();
  });

  const sight = new IntersectionObserver(
    (entries) => {
      inSight = entries.at(-1).isIntersecting;
      if (inSight && root.dataset.state === "loading") load();
    },
    { rootMargin: "100px" },
  );
  followLook(
    root,
    (cause) => {
      if (!drawn()) return;
      if (cause === "theme") draw();
      else if (plot.clientWidth) window.Plotly.Plots.resize(plot);
    },
    () => {
      sight.disconnect();
      if (shown) window.Plotly.purge(plot); // or the figure's memory stays with the page
    },
  );
  sight.observe(root);
  root.addEventListener("keydown", (event) => drawn() && walk.onKey(event));
  root.addEventListener("blur", () => walk.point && walk.leave());
  watch("value", load);
  load();
}
