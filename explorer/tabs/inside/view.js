// Everything inside one picture's tokens, moved by one slider. After loading, nothing here asks the server, unless the
// sequence is long.
import { readRow } from "../../viewer/kit/scripts/blocks.js";
import { cellAt, placeCell, placeOf, placePicture } from "../../viewer/kit/scripts/cells.js";
import { colourTable, fadedTable } from "../../viewer/kit/scripts/colours.js";
import { bindCheckboxes, pressOption } from "../../viewer/kit/scripts/controls.js";
import { Expired, fetchBytes, loadPicture } from "../../viewer/kit/scripts/fetching.js";
import { HeatMap } from "../../viewer/kit/scripts/heatmap.js";
import { arrowStep, isForeignKey } from "../../viewer/kit/scripts/keyboard.js";
import { showLegend } from "../../viewer/kit/scripts/legend.js";
import { dispatch, listen, oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, fadeEnd, findParts, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { formatEnds, formatNumber, isIndex, nearestIndex } from "../../viewer/kit/scripts/numbers.js";
import { describeFailure, showState } from "../../viewer/kit/scripts/state.js";
import { StackData } from "../../viewer/matrix/data.js";
import { extentOf, MAPS, Numbers, OTHER, withoutMarked } from "./maps.js";
import { exportPng } from "./png.js";
import { buildTable, markTableRow } from "./table.js";

const ATTENTION = 0,
  SIMILARITY = 1; // panels of the stack
const MARK = 16; // pixels of a cell on the canvas of marks

const unitOf = (map) => (map === "attention" || map === "certainty" ? "percent" : "number");

function legendItem(colour, text) {
  const swatch = createElement("i", { class: "swatch" });
  swatch.style.background = colour;
  return createElement("li", {}, swatch, text);
}

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, server, watch, lang, t }) {
  const part = findParts(root);
  const viewer = viewerName(element, props);

  // What the person chose; it outlives a change of value wherever it is still valid.
  const chosen = {
    state: null,
    query: null,
    map: "attention",
    joint: true,
    without: false,
    smooth: false,
    opacity: 0.85,
    pinned: false,
  };
  let view = null,
    sequence = 0,
    said = "";
  const heat = new HeatMap(part.heat);
  const schedule = oncePerFrame(draw);

  fadeEnd(part.frame);
  connect();

  // ---- a new value ------------------------------------------------------------------------------------------------
  async function load() {
    const value = props.value && props.value.token ? props.value : null,
      mine = ++sequence;
    root.dataset.seq = mine;
    if (view) view.data.stop();
    if (!value) {
      view = null;
      return setState("empty");
    }
    setState("loading");
    const [gh, gw] = value.grid,
      prefix = value.prefix.length,
      tokens = prefix + gh * gw;
    const same = view && view.gh === gh && view.gw === gw && view.prefix === prefix;
    if (!isIndex(chosen.state, value.layers)) chosen.state = value.shown.layer;
    if (!same || !isIndex(chosen.query, tokens)) Object.assign(chosen, { query: value.shown.query, pinned: false });
    if (!value.lens && ["classes", "certainty"].includes(chosen.map)) chosen.map = "attention";
    const data = new StackData(
      value,
      server,
      () => arrived(mine),
      (error, needed) => failed(mine, error, needed),
    );
    view = { value, data, gh, gw, prefix, tokens, numbers: null, picture: null, ready: false };
    view.attention = new Float32Array(tokens);
    view.similarity = new Float32Array(tokens);
    view.pixels = new Uint32Array(gh * gw);
    loadPicture(value.picture, (picture) => {
      if (mine !== sequence) return;
      view.picture = picture;
      if (view.ready) showPicture();
    });
    try {
      const numbers = new Numbers(await fetchBytes(value.numbers.url), value);
      if (mine !== sequence) return;
      view.numbers = numbers;
      data.want(chosen.state, chosen.query, "to");
    } catch (error) {
      failed(mine, error, true);
    }
  }

  function showPicture() {
    placePicture(part.picture, part.stage, view.picture, view.gh, view.gw);
    part.heat.style.opacity = chosen.opacity;
  }

  function arrived(mine) {
    if (mine !== sequence) return;
    if (!view.ready) {
      view.ready = true;
      build();
      setState("ready");
    }
    schedule();
  }

  function failed(mine, error, needed) {
    if (mine !== sequence) return;
    if (!needed && !(error instanceof Expired)) return;
    const { state, message } = describeFailure(error, t);
    setState(state, message);
    schedule();
  }

  function setState(state, message) {
    showState(root, part, t, state, state === "empty" || !view || !view.ready, message);
  }

  /** The parts that depend on the value's shape. */
  function build() {
    const { value } = view;
    part.layer.max = value.layers - 1;
    setText(part["layer-label"], t("slider"));
    view.thumbs = {};
    const buttons = MAPS.filter((map) => value.lens || !["classes", "certainty"].includes(map)).map((map) => {
      const canvas = createElement("canvas"),
        button = createElement(
          "button",
          { "type": "button", "class": "vit-thumb", "data-map": map },
          canvas,
          createElement(
            "span",
            { class: "vit-thumb-text" },
            createElement("span", { class: "vit-thumb-name" }, t(`map_${map}`)),
          ),
        );
      canvas.style.aspectRatio = `${view.gw} / ${view.gh}`;
      button.title = t(`map_${map}`);
      button.addEventListener("click", () => choose({ map }, true));
      view.thumbs[map] = { canvas, button, heat: new HeatMap(canvas) };
      return button;
    });
    part.maps.replaceChildren(...buttons);
    view.chips = value.prefix.map((special, token) => {
      const button = createElement("button", { type: "button", class: "vit-chip" }, special);
      button.addEventListener("click", () => choose({ query: token, pinned: true }, true));
      return button;
    });
    part.chips.hidden = !view.prefix;
    part.chips.replaceChildren(...view.chips);
    buildTable({ view, part, choose, labelOf, stateName });
    showPicture();
    said = "";
  }

  const last = () => view.value.layers - 1; // the state after the last layer
  const stateName = (state) => (state === last() ? t("state_last") : t("state", { layer: state }));
  const labelOf = (index) => view.value.lens.labels[index] ?? String(index);

  function tokenName(token) {
    if (token < view.prefix) return view.value.prefix[token];
    return t("patch", placeOf(token - view.prefix, view.gw));
  }

  // ---- what people do ---------------------------------------------------------------------------------------------
  function choose(changes, aloud = false) {
    Object.assign(chosen, changes);
    if (view) view.aloud = view.aloud || aloud;
    schedule();
  }

  function connect() {
    const { stage } = part;
    const over = (event) => (view && view.ready ? cellAt(event, stage, view.gh, view.gw) : -1);
    const explore = (event) => {
      const cell = over(event);
      if (cell >= 0 && !chosen.pinned && cell + view.prefix !== chosen.query) choose({ query: cell + view.prefix });
    };
    stage.addEventListener("pointermove", explore);
    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse") explore(event);
    });
    stage.addEventListener("click", (event) => {
      const cell = over(event);
      if (cell < 0 || event.pointerType === "touch") return;
      choose({ pinned: !(chosen.pinned && chosen.query === cell + view.prefix), query: cell + view.prefix }, true);
    });
    root.addEventListener("keydown", onKey);
    part.layer.addEventListener("input", () => choose({ state: Number(part.layer.value) }));
    part.opacity.addEventListener("input", () => {
      chosen.opacity = Number(part.opacity.value);
      part.heat.style.opacity = chosen.opacity;
    });
    bindCheckboxes(part, ["smooth", "without"], choose);
    for (const button of root.querySelectorAll("[data-joint]")) {
      button.addEventListener("click", () => choose({ joint: button.dataset.joint === "true" }));
    }
    part.save.addEventListener("click", () => {
      if (view && view.ready) exportPng({ view, chosen, part, viewer, t, lang, stateName, labelOf });
    });
    listen(root, "vit:select", ({ detail }) => {
      if (!view || !detail || detail.viewer !== viewer) return;
      if (isIndex(detail.layer, view.value.layers)) choose({ state: detail.layer });
      if (isIndex(detail.query, view.tokens)) choose({ query: detail.query });
    });
  }

  function onKey(event) {
    if (!view || !view.ready || isForeignKey(event)) return;
    const { prefix, gh, gw, value } = view,
      key = event.key,
      onStage = event.target === part.stage;
    const step = onStage ? arrowStep(key, Math.max(chosen.query - prefix, 0), gh, gw) : null;
    const maps = Object.keys(view.thumbs),
      at = maps.indexOf(chosen.map);
    let changes = null;
    if (step !== null) changes = { query: chosen.query < prefix ? prefix : step + prefix };
    else if (key === "[" || key === "]")
      changes = { state: nearestIndex(chosen.state + (key === "]" ? 1 : -1), value.layers) };
    else if (key === "," || key === ".")
      changes = { map: maps[nearestIndex(at + (key === "." ? 1 : -1), maps.length)] };
    else if (key === "c" && prefix) changes = { query: 0, pinned: true };
    else if (key === "Escape") changes = { pinned: false };
    else if (key === "Enter" && onStage) changes = { pinned: !chosen.pinned };
    if (!changes) return;
    event.preventDefault();
    choose(changes, true);
  }

  // ---- one drawing ------------------------------------------------------------------------------------------------
  function draw() {
    if (!view || !view.ready || !view.numbers) return;
    const { data, numbers } = view,
      { state, query } = chosen;
    const block = data.want(state, query, "to");
    root.toggleAttribute("data-pending", !block);
    part.pending.hidden = Boolean(block);
    if (!block) setText(part.pending, root.dataset.state === "expired" ? t("expired") : t("pending"));
    if (block && root.dataset.state === "error") setState("ready"); // the server is back
    if (block) {
      readRow(block, ATTENTION, false, query, "to", view.attention);
      readRow(block, SIMILARITY, true, query, "to", view.similarity);
    }
    view.marked = numbers.of("marked", state);
    view.count = view.marked.reduce((sum, mark) => sum + mark, 0);
    for (const [map, thumb] of Object.entries(view.thumbs)) {
      paint(map, thumb.heat, false);
      thumb.button.setAttribute("aria-pressed", map === chosen.map);
    }
    drawLegend(paint(chosen.map, heat, chosen.smooth));
    drawMarks();
    drawSelection();
    drawFacts();
    announce();
  }

  /** One map of the state in sight on a HeatMap; {low, high, table} of its scale, null for a map of colours. */
  function paint(map, target, smooth) {
    const { numbers, gh, gw, prefix } = view,
      { state } = chosen,
      large = target === heat;
    if (map === "colours" || map === "classes") {
      const pixels =
        map === "colours"
          ? numbers.componentPixels(state, chosen.joint, view.pixels)
          : numbers.classPixels(state, view.pixels);
      target.drawPixels(pixels, gh, gw);
      return null;
    }
    const row = rowOf(map),
      name = map === "norms" || map === "entropy" ? "magma" : "viridis";
    if (!row) {
      target.context.clearRect(0, 0, target.canvas.width, target.canvas.height);
      return { low: 0, high: 0, table: colourTable(name), unit: unitOf(map) };
    }
    const { low, high } = extentOf(row, prefix);
    const table = large && (map === "attention" || map === "similarity") ? fadedTable(name) : colourTable(name);
    target.draw(row, prefix, gh, gw, low, high, table, smooth);
    return { low, high, table: colourTable(name), unit: unitOf(map) };
  }

  /** The numbers of a map of the state in sight, [N]; null where there are none. */
  function rowOf(map) {
    const { numbers } = view,
      { state } = chosen;
    if (map === "similarity") return view.similarity;
    if (map !== "attention") return numbers.of(map, state);
    if (state === last()) return null;
    return chosen.without ? withoutMarked(view.attention, view.marked) : view.attention;
  }

  function drawLegend(scale) {
    part.legend.hidden = !scale;
    part.classes.hidden = chosen.map !== "classes";
    if (scale) {
      showLegend(part, scale.table, formatEnds(scale.low, scale.high, scale.unit));
    }
    const key = [sequence, chosen.state].join();
    if (chosen.map !== "classes" || view.classesDrawn === key) return;
    view.classesDrawn = key;
    const { numbers } = view,
      present = numbers.present(chosen.state);
    const shown = present.filter(([index]) => numbers.colourOf.has(index));
    const items = shown.map(([index, count]) =>
      legendItem(`#${numbers.colour(index)}`, `${labelOf(index)} (${count})`),
    );
    const others = present.length - shown.length;
    if (others) items.push(legendItem(`#${OTHER}`, t("others", { others })));
    part.classes.replaceChildren(...items);
  }

  /** Frames around patches with artefacts. */
  function drawMarks() {
    const { gh, gw, prefix, marked } = view,
      canvas = part.marks,
      key = [sequence, chosen.state].join();
    if (view.marksDrawn === key) return;
    view.marksDrawn = key;
    Object.assign(canvas, { width: view.count ? gw * MARK : 1, height: view.count ? gh * MARK : 1 });
    const context = canvas.getContext("2d");
    for (let n = 0; view.count && n < gh * gw; n++) {
      if (!marked[prefix + n]) continue;
      const x = (n % gw) * MARK,
        y = Math.floor(n / gw) * MARK;
      for (const [colour, line] of [
        ["#000000", 4],
        ["#ff4fd8", 2],
      ]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect(x + 2, y + 2, MARK - 4, MARK - 4);
      }
    }
  }

  function drawSelection() {
    placeCell(part.query, chosen.query - view.prefix, view.gh, view.gw);
    view.chips.forEach((chip, token) => chip.setAttribute("aria-pressed", token === chosen.query));
    const key = [sequence, chosen.state, chosen.map, chosen.joint, chosen.without, chosen.pinned].join();
    if (view.selectionDrawn === key) return; // a hover moves a marker and nothing else
    view.selectionDrawn = key;
    root.toggleAttribute("data-pinned", chosen.pinned);
    part.layer.value = chosen.state;
    part.layer.setAttribute("aria-valuetext", stateName(chosen.state));
    setText(part["layer-number"], stateName(chosen.state));
    markTableRow(part, chosen.state);
    part["joint-field"].hidden = chosen.map !== "colours";
    part["without-field"].hidden = chosen.map !== "attention" || !view.count;
    pressOption(root, "joint", chosen.joint);
    setText(part["map-name"], t(`map_${chosen.map}`));
    const shares = view.value.explained[chosen.joint ? "joint" : "own"][chosen.state].map((share) =>
      formatNumber(share, "percent"),
    );
    const noAttention = chosen.state === last() && (chosen.map === "attention" || chosen.map === "entropy");
    setText(part.how, noAttention ? t("how_no_attention") : t(`how_${chosen.map}`, { shares: shares.join(" + ") }));
    setText(part.artefacts, artefactSentence());
  }

  function artefactSentence() {
    const { value, count } = view,
      { state, map } = chosen;
    if (!["norms", "attention"].includes(map)) return "";
    if (!count) return map === "norms" ? t("artefacts_none") : "";
    const percent = (number) => formatNumber(number, "percent");
    if (state === last()) return t("artefacts_last", { count });
    return t(value.prefix.length ? "artefacts" : "artefacts_mean", {
      count,
      share: percent(value.artefacts.shares[state]),
      fair: percent(value.artefacts.fair[state]),
    });
  }

  function drawFacts() {
    const { numbers, value } = view,
      { state, query } = chosen,
      number = (name) => numbers.of(name, state)?.[query];
    const facts = [["fact_token", `${tokenName(query)}${chosen.pinned ? ` · ${t("pinned")}` : ""}`]];
    if (value.lens)
      facts.push(["fact_lens", `${labelOf(number("classes"))} · ${formatNumber(number("certainty"), "percent")}`]);
    facts.push(["fact_norm", number("norms").toPrecision(4) + (view.marked[query] ? ` · ${t("artefact")}` : "")]);
    if (state !== last()) {
      facts.push([
        "fact_entropy",
        t("nats", { value: number("entropy").toFixed(2), most: Math.log(view.tokens).toFixed(2) }),
      ]);
      facts.push(["fact_itself", formatNumber(view.attention[query], "percent")]);
    }
    let nearest = query === view.prefix ? view.prefix + 1 : view.prefix;
    for (let i = view.prefix; i < view.tokens; i++)
      if (i !== query && view.similarity[i] > view.similarity[nearest]) nearest = i;
    if (nearest < view.tokens)
      facts.push(["fact_nearest", `${tokenName(nearest)} · ${formatNumber(view.similarity[nearest])}`]);
    if (part.facts.childElementCount !== facts.length) {
      part.facts.replaceChildren(
        ...facts.map(() => createElement("div", {}, createElement("dt"), createElement("dd"))),
      );
    }
    facts.forEach(([key, text], i) => {
      setText(part.facts.children[i].firstChild, t(key));
      setText(part.facts.children[i].lastChild, text);
    });
    if (view.aloud)
      setText(
        part.spoken,
        `${stateName(state)}. ${t(`map_${chosen.map}`)}. ${facts.map(([key, text]) => `${t(key)} ${text}`).join(". ")}`,
      );
    view.aloud = false;
  }

  /** Tell the page what is selected, once a change. */
  function announce() {
    const { state, query, map, joint, without } = chosen,
      now = [sequence, state, query, map, joint, without].join();
    if (now === said) return;
    said = now;
    dispatch("vit:state", { viewer, layer: state, query, map, joint, without });
  }

  watch("value", load);
  load(); // last, when everything above has its value
}
