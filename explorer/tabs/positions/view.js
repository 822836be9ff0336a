// The mosaic of position similarities.
import { cellAt } from "../../viewer/kit/scripts/cells.js";
import { colourTable } from "../../viewer/kit/scripts/colours.js";
import { addSegments, bindColours } from "../../viewer/kit/scripts/controls.js";
import { fetchFile } from "../../viewer/kit/scripts/fetching.js";
import { HeatMap } from "../../viewer/kit/scripts/heatmap.js";
import { arrowStep, hasModifier } from "../../viewer/kit/scripts/keyboard.js";
import { drawBar } from "../../viewer/kit/scripts/legend.js";
import { oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { formatNumber } from "../../viewer/kit/scripts/numbers.js";
import { savePng } from "../../viewer/kit/scripts/saving.js";
import { describeFailure, showEmpty } from "../../viewer/kit/scripts/state.js";
import { localise } from "../../viewer/kit/scripts/words.js";
import { cosines, extent, tileQuery, unpackEmbeddings } from "./similarity.js";

const SLICE = 10; // milliseconds of drawing before the page gets its turn
const LARGEST = 1400; // pixels of a mosaic's side; beyond, not every position gets a tile

function put(marker, panel, cell, rows, columns, step = 1) {
  const r = Math.floor(Math.floor(cell / panel.gw) / step),
    c = Math.floor((cell % panel.gw) / step);
  marker.style.cssText = `left:${(100 * c) / columns}%;top:${(100 * r) / rows}%;width:${100 / columns}%;height:${100 / rows}%`;
}

/** The position under a pointer over the mosaic: that of the tile, or of any position where tiles stand for several. */
function mosaicCell(panel, event) {
  const tile = cellAt(event, panel.frame, panel.tr, panel.tc);
  return tile < 0 ? -1 : tileQuery(panel, Math.floor(tile / panel.tc), tile % panel.tc);
}

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);

  const choice = { kind: "cosine", scale: "fixed", colours: "viridis" };
  let panels = [];
  let shown = null; // the value that they are of
  // The position looked at, as fractions of height and width: it holds on any grid.
  let at = { panel: 0, u: 0.5, v: 0.5 };
  let pinned = false;
  let offered = null; // the kind of similarity that the last value asked for: it counts when it changes
  let ticket = 0; // of the newest load: an older one that finishes late is dropped

  // ---- numbers ----------------------------------------------------------------------------------------------------

  /** A row of cosines as the chosen kind: itself, or times both lengths. */
  function asKind(panel, query, row) {
    if (choice.kind === "cosine") return row;
    const { norms, count } = panel,
      own = norms[query];
    for (let n = 0; n < count; n++) panel.scaled[n] = row[n] * own * norms[n];
    return panel.scaled;
  }

  /** [low, high] of the colours of one map. */
  function limits(row) {
    if (choice.scale === "permap") return extent(row);
    if (choice.kind === "cosine") return [-1, 1];
    return [Math.min(...panels.map((p) => p.range.dot[0])), Math.max(...panels.map((p) => p.range.dot[1]))];
  }

  const place = (panel, cell) => t("at", { row: Math.floor(cell / panel.gw), column: cell % panel.gw });
  const cellOf = (panel) => Math.floor(at.u * panel.gh) * panel.gw + Math.floor(at.v * panel.gw);
  const shownNumber = (value) =>
    choice.kind === "cosine" || Math.abs(value) < 100
      ? formatNumber(value).replace("-", "−")
      : value.toFixed(1).replace("-", "−");

  // ---- one panel --------------------------------------------------------------------------------------------------
  function makePanel(grid, index) {
    const [gh, gw] = grid.grid,
      count = gh * gw;
    const step = Math.max(Math.ceil((gh * gh) / LARGEST), Math.ceil((gw * gw) / LARGEST));
    const tr = Math.ceil(gh / step),
      tc = Math.ceil(gw / step);
    const factor = Math.max(1, Math.min(6, Math.floor(1100 / Math.max(tr * gh, tc * gw))));
    const gap = Math.max(1, Math.round((factor * Math.min(gh, gw)) / 12));
    const name = localise(grid.name, lang);
    const node = (tag, cls, ...children) => createElement(tag, { class: cls }, ...children);
    const panel = { ...grid, index, name, gh, gw, count, step, tr, tc, factor, gap, over: -1 };
    panel.mosaic = node("canvas", "mosaic-canvas");
    panel.mosaic.width = tc * (gw * factor + gap) - gap;
    panel.mosaic.height = tr * (gh * factor + gap) - gap;
    panel.context = panel.mosaic.getContext("2d");
    panel.tile = new HeatMap(document.createElement("canvas"));
    panel.frame = createElement("div", { class: "mosaic", tabindex: "0", role: "application" }, panel.mosaic);
    panel.frame.setAttribute("aria-label", t("mosaic", { name, rows: gh, columns: gw }));
    panel.here = node("span", "here");
    panel.frame.append(panel.here);
    panel.canvas = node("canvas", "map-canvas");
    panel.large = new HeatMap(panel.canvas);
    panel.query = node("span", "here");
    panel.cursor = node("span", "cursor");
    panel.map = createElement("div", { class: "map", role: "img" }, panel.canvas, panel.query, panel.cursor);
    panel.map.setAttribute("aria-label", t("map"));
    panel.map.style.aspectRatio = `${gw} / ${gh}`;
    panel.low = node("span", "end");
    panel.high = node("span", "end");
    panel.ramp = node("canvas", "ramp");
    panel.legendNote = node("span", "legend-note");
    const facts = ["position", "nearest", "pointer", "extent"].map((key) => {
      panel[`${key}Text`] = node("dd", "");
      return node("div", "fact", node("dt", "", t(key)), panel[`${key}Text`]);
    });
    const legend = node("div", "legend", panel.low, panel.ramp, panel.high, panel.legendNote);
    panel.node = node(
      "article",
      "panel",
      node("h4", "", t("heading", { name, rows: gh, columns: gw })),
      panel.frame,
      node("div", "beside", panel.map, legend, node("dl", "facts", ...facts)),
    );
    if (step > 1) panel.node.firstChild.append(node("span", "sampled", t("sampled", { step })));
    Object.assign(panel, {
      row: new Float32Array(count),
      scaled: new Float32Array(count),
      known: new Uint8Array(tr * tc),
    });
    panel.cosines = new Float32Array(tr * tc * count);
    follow(panel);
    return panel;
  }

  function drawTile(panel, index) {
    const { gh, gw, tc, factor, gap, count } = panel;
    const r = Math.floor(index / tc),
      c = index % tc,
      query = tileQuery(panel, r, c);
    if (!panel.known[index]) {
      cosines(panel, query, panel.cosines, index * count);
      panel.known[index] = 1;
    }
    const row = asKind(panel, query, panel.cosines.subarray(index * count, (index + 1) * count));
    panel.tile.draw(row, 0, gh, gw, ...limits(row), colourTable(choice.colours));
    const x = c * (gw * factor + gap),
      y = r * (gh * factor + gap);
    panel.context.imageSmoothingEnabled = false;
    panel.context.drawImage(panel.tile.canvas, x, y, gw * factor, gh * factor);
  }

  /** Draws every tile of every panel, a slice at a time, and says `complete` when the last is there. */
  let drawing = 0;
  function drawMosaics() {
    const mine = ++drawing;
    const queue = panels.flatMap((panel) => Array.from({ length: panel.tr * panel.tc }, (_, index) => [panel, index]));
    let next = 0;
    const slice = () => {
      if (mine !== drawing || !element.isConnected) return;
      const end = performance.now() + SLICE;
      while (next < queue.length && performance.now() < end) drawTile(...queue[next++]);
      if (next < queue.length) setTimeout(slice);
      else root.dataset.state = "complete";
    };
    slice();
  }

  // ---- what is looked at ------------------------------------------------------------------------------------------

  const show = oncePerFrame(() => panels.forEach(showPanel));

  function showPanel(panel) {
    const cell = cellOf(panel),
      { gh, gw } = panel;
    if (panel.cell !== cell) {
      cosines(panel, cell, panel.row);
      panel.cell = cell;
    }
    const row = asKind(panel, cell, panel.row),
      [low, high] = limits(row),
      [least, most] = extent(row);
    panel.large.draw(row, 0, gh, gw, low, high, colourTable(choice.colours));
    put(panel.here, panel, cell, panel.tr, panel.tc, panel.step);
    put(panel.query, panel, cell, gh, gw);
    panel.cursor.hidden = panel.over < 0;
    if (panel.over >= 0) put(panel.cursor, panel, panel.over, gh, gw);
    panel.node.classList.toggle("pinned", pinned);
    let other = cell ? 0 : Math.min(1, row.length - 1);
    for (let n = 0; n < row.length; n++) if (n !== cell && row[n] > row[other]) other = n;
    panel.other = other;
    const reading = (n) => t("value", { value: shownNumber(row[n]), place: place(panel, n) });
    const number = t("number", { index: cell });
    setText(panel.positionText, `${place(panel, cell)} · ${number}${pinned ? ` · ${t("pinned")}` : ""}`);
    setText(panel.nearestText, reading(other));
    setText(panel.pointerText, panel.over < 0 ? "–" : reading(panel.over));
    setText(panel.extentText, t("between", { low: shownNumber(least), high: shownNumber(most) }));
    setText(panel.low, shownNumber(low));
    setText(panel.high, shownNumber(high));
    const note =
      choice.scale === "permap"
        ? "legendMap"
        : choice.kind === "dot" && panels.length > 1
          ? "legendShared"
          : "legendFixed";
    setText(panel.legendNote, t(note));
  }

  function look(panel, cell) {
    at = {
      panel: panel.index,
      u: (Math.floor(cell / panel.gw) + 0.5) / panel.gh,
      v: ((cell % panel.gw) + 0.5) / panel.gw,
    };
    show();
  }

  function follow(panel) {
    const { frame, map } = panel;
    frame.addEventListener("pointermove", (event) => {
      const cell = mosaicCell(panel, event);
      if (cell >= 0 && !pinned) look(panel, cell);
    });
    frame.addEventListener("click", (event) => {
      const cell = mosaicCell(panel, event);
      if (cell < 0) return;
      pinned = !(pinned && cell === cellOf(panel) && event.detail === 1);
      look(panel, cell);
    });
    map.addEventListener("pointermove", (event) => {
      panel.over = cellAt(event, map, panel.gh, panel.gw);
      show();
    });
    map.addEventListener("pointerleave", () => {
      panel.over = -1;
      show();
    });
    map.addEventListener("click", (event) => {
      const cell = cellAt(event, map, panel.gh, panel.gw);
      if (cell < 0) return;
      pinned = true;
      look(panel, cell);
    });
    frame.addEventListener("keydown", (event) => {
      if (hasModifier(event)) return;
      const cell = arrowStep(event.key, cellOf(panel), panel.gh, panel.gw);
      if (cell !== null) look(panel, cell);
      else if (event.key === "Enter" || event.key === " ") pinned = !pinned;
      else if (event.key === "Escape") pinned = false;
      else return;
      event.preventDefault();
      showPanel(panel);
      show();
      const value = shownNumber(asKind(panel, panel.cell, panel.row)[panel.other]);
      const words = { name: panel.name, place: place(panel, panel.cell), other: place(panel, panel.other), value };
      find(".spoken").textContent = t("spoken", words) + (pinned ? ` ${t("pinned")}` : "");
    });
  }

  // ---- choices ----------------------------------------------------------------------------------------------------
  function choose(key, option) {
    choice[key] = option;
    for (const input of find(`.${key}s`)?.querySelectorAll("input") ?? []) input.checked = input.value === option;
    for (const panel of panels) drawBar(panel.ramp, colourTable(choice.colours));
    if (!panels.length) return;
    root.dataset.state = "ready";
    panels.forEach(showPanel);
    drawMosaics();
  }

  /** Mosaics, the maps beside them and the scale, as one picture. */
  function saved() {
    const style = getComputedStyle(root),
      side = 900,
      margin = 40,
      head = 70,
      foot = 130;
    const wide = panels.map(() => [side, Math.round(side * 0.62)]),
      gapped = wide.map(([a, b]) => a + b + 3 * margin);
    const tall = panels.map((panel) => Math.round((side * panel.mosaic.height) / panel.mosaic.width));
    const canvas = createElement("canvas", {
      width: gapped.reduce((a, b) => a + b, 0),
      height: Math.max(...tall) + head + foot,
    });
    const context = canvas.getContext("2d");
    context.fillStyle = style.getPropertyValue("--background-fill-primary").trim() || "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = style.color;
    context.textBaseline = "middle";
    const write = (size, text, tx, ty, align = "left") => {
      context.font = `${size}px ${style.fontFamily}`;
      context.textAlign = align;
      context.fillText(text, tx, ty);
    };
    write(20, localise(shown.caption, lang), margin, canvas.height - 36);
    let x = margin;
    panels.forEach((panel, i) => {
      const [mosaicWidth, mapWidth] = wide[i],
        mapHeight = Math.round((mapWidth * panel.gh) / panel.gw),
        left = x + side + margin;
      write(28, panel.node.querySelector("h4").firstChild.data, x, head / 2);
      write(22, place(panel, panel.cell), left, head / 2);
      context.imageSmoothingEnabled = panel.mosaic.width > mosaicWidth;
      context.drawImage(panel.mosaic, x, head, mosaicWidth, tall[i]);
      context.imageSmoothingEnabled = false;
      context.drawImage(panel.canvas, left, head, mapWidth, mapHeight);
      context.drawImage(panel.ramp, left, head + mapHeight + 24, mapWidth, 16);
      write(20, panel.low.textContent, left, head + mapHeight + 62);
      write(20, t(choice.kind), left + mapWidth / 2, head + mapHeight + 62, "center");
      write(20, panel.high.textContent, left + mapWidth, head + mapHeight + 62, "right");
      x += gapped[i];
    });
    return canvas;
  }

  // ---- loading ----------------------------------------------------------------------------------------------------
  function say(state, text = "") {
    root.dataset.state = state;
    find(".message").textContent = text;
  }

  async function load() {
    const value = props.value,
      mine = ++ticket;
    if (!value?.grids?.length) {
      say("empty", "");
      return showEmpty(find(".message"), t);
    }
    say("loading", panels.length ? "" : t("loading"));
    drawing++; // stops the mosaics of the value before
    try {
      const loaded = await Promise.all(
        value.grids.map(async (grid) => {
          const buffer = await (await fetchFile(grid.file.url)).arrayBuffer();
          return unpackEmbeddings(buffer, grid.grid[0] * grid.grid[1], grid.width);
        }),
      );
      if (mine !== ticket) return;
      panels = value.grids.map((grid, index) => Object.assign(makePanel(grid, index), loaded[index]));
      shown = value;
    } catch (error) {
      if (mine !== ticket) return;
      panels = [];
      find(".panels").replaceChildren();
      return say("error", describeFailure(error, t, { error: "failed" }).message);
    }
    find(".panels").replaceChildren(...panels.map((panel) => panel.node));
    root.classList.toggle("single", panels.length === 1);
    say("ready");
    root.dataset.seq = Number(root.dataset.seq) + 1;
    choose("kind", value.kind === offered ? choice.kind : value.kind);
    offered = value.kind;
  }

  addSegments(find(".kinds"), ["cosine", "dot"], choice.kind, t, (option) => choose("kind", option));
  addSegments(find(".scales"), ["fixed", "permap"], choice.scale, t, (option) => choose("scale", option));
  bindColours(find(".colours"), t, ({ colours }) => choose("colours", colours), [
    "viridis",
    "magma",
    "diverging",
    "grey",
  ]);
  find(".png").addEventListener(
    "click",
    () =>
      panels.length &&
      savePng(saved(), "position-similarity.png", shown.manifest, {
        viewer: viewerName(element, props),
        caption: localise(shown.caption, lang),
        ...choice,
        panels: panels.map((panel) => ({ name: panel.name, grid: panel.grid, position: cellOf(panel) })),
      }),
  );
  watch("value", load);
  load();
}
