// The viewer in one page's element. Data in, one drawing a frame out; nothing here asks the server on a hover.
import { readRow } from "../kit/scripts/blocks.js";
import { cellAt, placeCell, placeOf, placePicture } from "../kit/scripts/cells.js";
import { colourEnds, colourTable, cssColour, fadedTable } from "../kit/scripts/colours.js";
import { bindCheckboxes, bindColours, bindOptions, pressOption } from "../kit/scripts/controls.js";
import { Expired, loadPicture } from "../kit/scripts/fetching.js";
import { HeatMap } from "../kit/scripts/heatmap.js";
import { arrowStep, isForeignKey } from "../kit/scripts/keyboard.js";
import { legendShare, showLegend } from "../kit/scripts/legend.js";
import { dispatch, listen, oncePerFrame } from "../kit/scripts/lifetime.js";
import { createElement, findParts, setText, viewerName } from "../kit/scripts/nodes.js";
import { formatEnds, formatNumber, isIndex, nearestIndex } from "../kit/scripts/numbers.js";
import { describeFailure, showState } from "../kit/scripts/state.js";
import { localise } from "../kit/scripts/words.js";
import { StackData } from "./data.js";
import { exportPng } from "./export.js";

const MEAN = "mean";
const REST = 80; // milliseconds after the last move until words and numbers follow the maps

/** @param {import("../kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, server, watch, lang, t }) {
  const name = viewerName(element, props);
  const part = findParts(root);

  // What the person chose; it outlives a change of value wherever it is still valid.
  const chosen = {
    layer: null,
    panel: null,
    query: null, // null: what the value proposes
    direction: "to",
    scale: "map",
    colours: "viridis",
    opacity: 0.85,
    fade: true,
    smooth: false,
    all: false,
    pinned: false,
    hovered: -1,
  };
  let view = null; // {value, data, gh, gw, prefix, tokens, rows, thumbs, chips, ...} of the value now shown
  let sequence = 0,
    said = "",
    gridDrawn = "",
    resting = 0;
  const heat = new HeatMap(part.heat);
  const schedule = oncePerFrame(draw);

  connect();

  // ---- a new value ------------------------------------------------------------------------------------------------
  async function load() {
    const value = props.value && props.value.token ? props.value : null,
      mine = ++sequence;
    root.dataset.seq = mine;
    if (view) view.data.stop();
    if (!value) {
      view = null;
      setState("empty");
      return;
    }
    setState("loading");
    const [gh, gw] = value.grid,
      prefix = value.prefix.length,
      tokens = prefix + gh * gw;
    const validPanel = (panel) => isIndex(panel, value.signed.length) || (panel === MEAN && value.mean);
    const sameTokens = view && view.gh === gh && view.gw === gw && view.prefix === prefix;
    if (!isIndex(chosen.layer, value.layers)) chosen.layer = value.shown.layer;
    if (!validPanel(chosen.panel)) chosen.panel = validPanel(value.shown.panel) ? value.shown.panel : 0;
    if (!sameTokens) Object.assign(chosen, { pinned: false, query: null });
    if (!isIndex(chosen.query, tokens)) chosen.query = isIndex(value.shown.query, tokens) ? value.shown.query : 0;
    if (!value.direction) chosen.direction = "to";
    chosen.hovered = -1;

    const data = new StackData(
      value,
      server,
      () => arrived(mine),
      (error, needed) => failed(mine, error, needed),
    );
    view = { value, data, gh, gw, prefix, tokens, picture: null, ready: false, panels: value.signed.length };
    view.unit = value.percent ? "percent" : "number";
    view.rows = Array.from({ length: view.panels }, () => new Float32Array(tokens));
    view.average = new Float32Array(tokens);
    if (value.picture) {
      loadPicture(value.picture, (picture) => {
        if (mine !== sequence) return;
        view.picture = picture;
        if (view.ready) showPicture();
        schedule();
      });
    }
    data.want(chosen.layer, chosen.query, chosen.direction);
  }

  function showPicture() {
    placePicture(part.picture, part.stage, view.picture, view.gh, view.gw);
    part["opacity-field"].hidden = part["fade-field"].hidden = !view.value.picture;
    part.heat.style.opacity = view.value.picture ? chosen.opacity : 1;
  }

  function arrived(mine) {
    if (mine !== sequence) return;
    if (view.ready) return schedule();
    view.ready = true;
    build();
    setState("ready");
    draw(); // now: what is ready is never seen empty
  }

  function failed(mine, error, needed) {
    if (mine !== sequence) return;
    // Nobody looks at it yet: it is asked for again when somebody does.
    if (!needed && !(error instanceof Expired)) return;
    const { state, message } = describeFailure(error, t, { expired: view.ready ? "partly_expired" : "expired" });
    setState(state, message);
    schedule();
  }

  function setState(state, message) {
    showState(root, part, t, state, state === "empty" || !view || !view.ready, message);
  }

  /** The parts that depend on the value's shape: thumbnails, special tokens, layers. */
  function build() {
    const { value, prefix } = view;
    setText(part.title, localise(value.title, lang));
    part["layer-row"].hidden = value.layers < 2;
    part.layer.max = value.layers - 1;
    setText(part["layer-label"], label("layer"));
    part.layer.setAttribute("aria-label", label("layer"));
    part["direction-field"].hidden = !value.direction;
    part["grid-field"].hidden = !view.data.prefetchesAll || value.layers < 2;
    part["scale-field"].hidden = value.signed.length < 2;
    part["colours-field"].hidden = value.signed.every(Boolean);
    const helps = {
      keys_move: true,
      keys_layer: value.layers > 1,
      keys_panel: value.signed.length > 1,
      keys_class: prefix,
      keys_pin: true,
    };
    setText(
      part.keys,
      Object.keys(helps)
        .filter((key) => helps[key])
        .map((key) => t(key))
        .join(" · "),
    );

    const panels = [...value.signed.keys(), ...(value.mean ? [MEAN] : [])];
    part.thumbs.hidden = panels.length < 2;
    part.thumbs.setAttribute("aria-label", t("panels"));
    part.thumbs.style.setProperty("--thumb", panels.length <= 9 ? "110px" : "88px");
    view.thumbs = panels.map((panel) => {
      const canvas = createElement("canvas"),
        top = createElement("span", { class: "vit-number" });
      const caption = createElement("span", { class: "vit-thumb-name" }, panelName(panel));
      const button = createElement(
        "button",
        { type: "button", class: "vit-thumb", title: longPanelName(panel) },
        canvas,
        createElement("span", { class: "vit-thumb-text" }, caption, createElement("span", { class: "vit-slot" }, top)),
      );
      button.setAttribute("aria-label", longPanelName(panel));
      canvas.style.aspectRatio = `${view.gw} / ${view.gh}`;
      button.addEventListener("click", () => choose({ panel }));
      return { panel, button, top, map: new HeatMap(canvas) };
    });
    part.thumbs.replaceChildren(...view.thumbs.map((thumb) => thumb.button));

    view.chips = value.prefix.map((special, token) => {
      const swatch = createElement("i"),
        number = createElement("span", { class: "vit-number" });
      const button = createElement(
        "button",
        { type: "button", class: "vit-chip" },
        swatch,
        special,
        createElement("span", { class: "vit-slot" }, number),
      );
      button.addEventListener("click", () => choose({ query: token, pinned: true }, true));
      return { button, swatch, number };
    });
    part.chips.hidden = prefix === 0;
    part.chips.replaceChildren(...view.chips.map((chip) => chip.button));
    showPicture();
    said = gridDrawn = "";
  }

  const label = (kind) => localise(view.value[`${kind}_label`], lang) || t(kind);
  const panelName = (panel) =>
    panel === MEAN ? t("mean") : view.value.panels ? localise(view.value.panels[panel], lang) : String(panel);
  const longPanelName = (panel) =>
    panel === MEAN ? t("mean_of") : view.value.panels ? panelName(panel) : `${label("panel")} ${panel}`;
  const isSigned = (panel) => panel !== MEAN && view.value.signed[panel];
  const rowOf = (panel) => (panel === MEAN ? view.average : view.rows[panel]);
  const colourMap = (panel) => (isSigned(panel) ? "diverging" : chosen.colours);
  const tableOf = (panel) => colourTable(colourMap(panel));

  function tokenName(token, long = true) {
    if (token < view.prefix) return view.value.prefix[token];
    return t(long ? "patch" : "short_patch", placeOf(token - view.prefix, view.gw));
  }

  // ---- what people do ---------------------------------------------------------------------------------------------
  /** Change the selection; `aloud` also for those who listen. */
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
      if (cell < 0) return;
      const token = cell + view.prefix;
      if (token === chosen.hovered) return;
      Object.assign(chosen, chosen.pinned ? { hovered: token } : { hovered: token, query: token });
      draw(true); // moves come once a frame: drawn at once, they are painted with that frame and not the next
    };
    stage.addEventListener("pointermove", explore);
    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse") explore(event);
    });
    stage.addEventListener("pointerleave", () => choose({ hovered: -1 }));
    stage.addEventListener("click", (event) => {
      const cell = over(event);
      if (cell < 0 || event.pointerType === "touch") return;
      const token = cell + view.prefix;
      choose(chosen.pinned ? { pinned: false, hovered: token, query: token } : { pinned: true, query: token }, true);
    });
    root.addEventListener("keydown", onKey);

    part.layer.addEventListener("input", () => choose({ layer: Number(part.layer.value) }));
    part.opacity.addEventListener("input", () => {
      chosen.opacity = Number(part.opacity.value);
      part.heat.style.opacity = chosen.opacity;
    });
    bindColours(part.colours, t, choose);
    bindCheckboxes(part, ["smooth", "fade", "all"], choose);
    for (const field of ["direction", "scale"]) bindOptions(root, field, choose);
    const mapAt = (event) => {
      const cell = cellAt(event, part["all-canvas"], view.value.layers, view.panels);
      return cell < 0 ? null : { layer: Math.floor(cell / view.panels), panel: cell % view.panels };
    };
    part["all-canvas"].addEventListener("click", (event) => choose(mapAt(event) ?? {}));
    part["all-canvas"].addEventListener("pointermove", (event) => {
      const map = mapAt(event);
      if (map) part["all-canvas"].title = `${label("layer")} ${map.layer}, ${longPanelName(map.panel)}`;
    });
    part.save.addEventListener("click", () => {
      if (view && view.ready)
        exportPng({ view, chosen, part, name, t, lang, label, panelName, longPanelName, tokenName, colourMap });
    });
    listen(root, "vit:select", ({ detail }) => {
      if (!view || !detail || detail.viewer !== name) return;
      if (isIndex(detail.layer, view.value.layers)) choose({ layer: detail.layer });
      if (isIndex(detail.panel, view.panels) || (detail.panel === MEAN && view.value.mean))
        choose({ panel: detail.panel });
      if (isIndex(detail.query, view.tokens)) choose({ query: detail.query });
      if (view.value.direction && ["to", "by"].includes(detail.direction)) choose({ direction: detail.direction });
    });
  }

  function onKey(event) {
    if (!view || !view.ready || isForeignKey(event)) return;
    const { value, prefix, gh, gw } = view,
      key = event.key,
      onStage = event.target === part.stage;
    const panels = view.thumbs.map((thumb) => thumb.panel),
      at = panels.indexOf(chosen.panel);
    const step = onStage ? arrowStep(key, Math.max(chosen.query - prefix, 0), gh, gw) : null;
    let changes = null;
    if (step !== null) changes = { query: chosen.query < prefix ? prefix : step + prefix, hovered: -1 };
    else if (key === "[" || key === "]")
      changes = { layer: nearestIndex(chosen.layer + (key === "]" ? 1 : -1), value.layers) };
    else if (key === "," || key === ".")
      changes = { panel: panels[nearestIndex(at + (key === "." ? 1 : -1), panels.length)] };
    else if (key === "c" && prefix) changes = { query: 0, pinned: true };
    else if (key === "Escape") changes = { pinned: false };
    else if (key === "Enter" && onStage) changes = { pinned: !chosen.pinned };
    if (!changes) return;
    event.preventDefault();
    choose(changes, true);
  }

  // ---- one drawing ------------------------------------------------------------------------------------------------
  /**
   * `moving`: by a pointer that may go on: words and numbers follow when it rests. Nobody reads them on the way, and
   * they take as long as the maps.
   */
  function draw(moving = false) {
    if (!view || !view.ready) return;
    const { value, data, gh, gw, prefix } = view,
      { layer, panel, query, direction } = chosen;
    const block = data.want(layer, query, direction);
    clearTimeout(resting);
    drawSelection();
    if (part.pending.hidden === !block) part.pending.hidden = Boolean(block);
    root.toggleAttribute("data-pending", !block);
    announce();
    if (!block) {
      const waiting = t("pending", { query: tokenName(query, false) });
      setText(part.pending, root.dataset.state === "expired" ? t("expired") : waiting);
      return;
    }
    if (root.dataset.state === "error") setState("ready"); // the server is back
    for (let index = 0; index < view.panels; index++) {
      readRow(block, index, value.signed[index], query, direction, view.rows[index]);
    }
    if (value.mean) average();
    const ranges = new Map(
      view.thumbs.map((thumb) => [thumb.panel, extent(rowOf(thumb.panel), isSigned(thumb.panel))]),
    );
    const shared = chosen.scale === "shared" ? sharedRanges(ranges) : null;
    const rangeOf = (which) => (shared ? shared[isSigned(which)] : ranges.get(which));
    for (const thumb of view.thumbs) {
      const { low, high } = rangeOf(thumb.panel);
      thumb.map.draw(rowOf(thumb.panel), prefix, gh, gw, low, high, tableOf(thumb.panel));
    }
    const { low, high } = rangeOf(panel),
      table = tableOf(panel),
      row = rowOf(panel);
    const faded = chosen.fade && view.picture;
    heat.draw(row, prefix, gh, gw, low, high, faded ? fadedTable(colourMap(panel)) : table, chosen.smooth);
    view.drawn = { low, high, table, row, ranges };
    drawAllLayers();
    if (moving) resting = setTimeout(drawWords, REST);
    else drawWords();
  }

  /** What is to be read beside the maps. */
  function drawWords() {
    if (!view?.drawn) return; // another value has come
    const { low, high, table, row, ranges } = view.drawn;
    for (const thumb of view.thumbs) setText(thumb.top, formatNumber(ranges.get(thumb.panel).top, view.unit));
    view.chips.forEach((chip, token) => {
      chip.swatch.style.backgroundColor = cssColour(table[Math.round(255 * legendShare(row[token], low, high, table))]);
      setText(chip.number, formatNumber(row[token], view.unit));
    });
    drawLegend();
    drawReading();
  }

  function average() {
    const unsigned = view.rows.filter((_, panel) => !view.value.signed[panel]),
      out = view.average;
    for (let i = 0; i < out.length; i++) {
      let sum = 0;
      for (const row of unsigned) sum += row[i];
      out[i] = sum / unsigned.length;
    }
  }

  /**
   * Lowest and highest patch of a map (special tokens have numbers of their own), symmetric about zero where signed.
   */
  function extent(row, signed) {
    let lowest = Infinity,
      highest = -Infinity,
      strongest = view.prefix,
      most = -Infinity;
    for (let token = view.prefix; token < row.length; token++) {
      const entry = row[token],
        size = signed && view.value.percent ? Math.abs(entry) : entry;
      if (entry < lowest) lowest = entry;
      if (entry > highest) highest = entry;
      if (size > most) {
        most = size;
        strongest = token;
      }
    }
    const edge = Math.max(highest, -lowest);
    return { low: signed ? -edge : lowest, high: signed ? edge : highest, top: row[strongest], strongest };
  }

  /** The scale that all unsigned maps share starts at zero; signed ones share theirs. */
  function sharedRanges(ranges) {
    const shared = { false: { low: 0, high: 0 }, true: { low: 0, high: 0 } };
    for (const [panel, { low, high }] of ranges) {
      const range = shared[isSigned(panel)];
      range.high = Math.max(range.high, high);
      if (isSigned(panel)) range.low = Math.min(range.low, low);
    }
    return shared;
  }

  /** Everything that shows what is selected, whether or not its numbers are here. */
  function drawSelection() {
    const { gh, gw, prefix, value } = view;
    placeCell(part.query, chosen.query - prefix, gh, gw);
    placeCell(part.hover, chosen.pinned && chosen.hovered !== chosen.query ? chosen.hovered - prefix : -1, gh, gw);
    const choice = [
      sequence,
      chosen.layer,
      chosen.panel,
      chosen.direction,
      chosen.scale,
      chosen.pinned,
      Math.min(chosen.query, prefix),
    ].join();
    if (choice === view.choice) return; // a hover moves a marker and nothing else
    view.choice = choice;
    root.toggleAttribute("data-pinned", chosen.pinned);
    part.layer.value = chosen.layer;
    setText(part["layer-number"], `${chosen.layer} / ${value.layers - 1}`);
    for (const thumb of view.thumbs) thumb.button.setAttribute("aria-pressed", thumb.panel === chosen.panel);
    view.chips.forEach((chip, token) => chip.button.setAttribute("aria-pressed", token === chosen.query));
    for (const field of ["direction", "scale"]) pressOption(root, field, chosen[field]);
  }

  function drawLegend() {
    const { low, high, table, row } = view.drawn,
      at = row[chosen.hovered >= 0 ? chosen.hovered : chosen.query];
    showLegend(part, table, formatEnds(low, high, view.unit));
    part.mark.style.transform = `translateX(${100 * legendShare(at, low, high, table)}%)`;
    setText(part["scale-note"], t(`note_${isSigned(chosen.panel) ? "signed_" : ""}${chosen.scale}`));
  }

  function drawReading() {
    const { row, ranges } = view.drawn,
      { strongest } = ranges.get(chosen.panel),
      value = formatNumber(row[strongest], view.unit);
    const kind = !view.value.percent ? "number" : isSigned(chosen.panel) ? "signed" : chosen.direction;
    const reading = t(`reading_${kind}`, {
      query: tokenName(chosen.query),
      strongest: tokenName(strongest, false),
      value,
    });
    setText(part.reading, reading[0].toUpperCase() + reading.slice(1));
    const other = chosen.pinned && chosen.hovered >= 0 && chosen.hovered !== chosen.query;
    setText(
      part.detail,
      other
        ? t("pinned_at", { token: tokenName(chosen.hovered), value: formatNumber(row[chosen.hovered], view.unit) })
        : t(chosen.pinned ? "pinned" : "itself", { value: formatNumber(row[chosen.query], view.unit) }),
    );
    if (view.aloud)
      setText(part.spoken, `${label("layer")} ${chosen.layer}, ${longPanelName(chosen.panel)}. ${reading}`);
    view.aloud = false;
  }

  /** Every panel of every layer for this query, as one small bitmap. */
  function drawAllLayers() {
    const { value, data, gh, gw, prefix, panels, tokens } = view,
      { layers } = value;
    const loaded = { loaded: data.blocks.size, layers };
    setText(part["all-label"], data.complete ? t("all") : t("all_loading", loaded));
    part.all.disabled = !data.complete;
    const shown = chosen.all && data.complete;
    part["all-figure"].hidden = !shown;
    if (!shown) return;
    placeCell(part["all-mark"], chosen.panel === MEAN ? -1 : chosen.layer * panels + chosen.panel, layers, panels);
    const key = [sequence, chosen.query, chosen.direction, chosen.scale, chosen.colours].join();
    if (key === gridDrawn) return;
    gridDrawn = key;
    // A few heads need not fill the page.
    part["all-mark"].parentElement.style.maxWidth = `${Math.min(900, 120 * panels)}px`;
    const canvas = part["all-canvas"],
      width = panels * (gw + 1),
      row = new Float32Array(tokens);
    const everything = [];
    for (let layer = 0; layer < layers; layer++) {
      for (let panel = 0; panel < panels; panel++) {
        readRow(data.blocks.get(layer), panel, value.signed[panel], chosen.query, chosen.direction, row);
        everything.push({ layer, panel, values: row.slice(prefix), ...extent(row, value.signed[panel]) });
      }
    }
    const most = { false: 0, true: 0 };
    for (const map of everything) most[value.signed[map.panel]] = Math.max(most[value.signed[map.panel]], map.high);
    if (canvas.width !== width || canvas.height !== layers * (gh + 1)) {
      canvas.width = width;
      canvas.height = layers * (gh + 1);
      canvas.style.aspectRatio = `${width} / ${canvas.height}`;
    }
    const context = canvas.getContext("2d"),
      image = context.createImageData(width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (const { layer, panel, values, low, high } of everything) {
      const signed = value.signed[panel],
        table = tableOf(panel);
      const ends = chosen.scale === "shared" ? [signed ? -most[signed] : 0, most[signed]] : [low, high];
      const [bottom, top] = colourEnds(...ends, table),
        gain = top > bottom ? 255 / (top - bottom) : 0;
      for (let y = 0, from = 0; y < gh; y++) {
        const start = (layer * (gh + 1) + y) * width + panel * (gw + 1);
        for (let x = 0; x < gw; x++)
          pixels[start + x] = table[Math.min(Math.max(((values[from++] - bottom) * gain + 0.5) | 0, 0), 255)];
      }
    }
    context.putImageData(image, 0, 0);
    const [low, high] = formatEnds(0, most.false, view.unit);
    const scale = chosen.scale === "shared" ? t("all_shared", { low, high }) : t("all_map");
    setText(
      part["all-caption"],
      t("all_caption", { layer: label("layer"), layers: layers - 1, panel: label("panel"), panels: panels - 1, scale }),
    );
  }

  /** Tell other components what is selected, once a change. */
  function announce() {
    const { layer, panel, query, direction } = chosen,
      now = [sequence, layer, panel, query, direction].join();
    if (now === said) return;
    said = now;
    dispatch("vit:state", { viewer: name, layer, panel, query, direction });
  }

  watch("value", load);
  load(); // last, when everything above has its value
}
