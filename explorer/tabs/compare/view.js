// Two sides and their difference in one element: hovered, pinned and layered together, with no request on a hover.
import { readRow } from "../../viewer/kit/scripts/blocks.js";
import { cellAt, placeCell, placeOf, placePicture } from "../../viewer/kit/scripts/cells.js";
import { colourTable, fadedTable } from "../../viewer/kit/scripts/colours.js";
import { bindCheckboxes } from "../../viewer/kit/scripts/controls.js";
import { Expired, loadPicture } from "../../viewer/kit/scripts/fetching.js";
import { HeatMap } from "../../viewer/kit/scripts/heatmap.js";
import { arrowStep, isForeignKey } from "../../viewer/kit/scripts/keyboard.js";
import { showLegend } from "../../viewer/kit/scripts/legend.js";
import { oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, findParts, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { formatEnds, formatNumber, nearestIndex } from "../../viewer/kit/scripts/numbers.js";
import { describeFailure, showEmpty } from "../../viewer/kit/scripts/state.js";
import { localise } from "../../viewer/kit/scripts/words.js";
import { StackData } from "../../viewer/matrix/data.js";
import { mapRange, matchingCell, overlap, pearson, ranks, resample, strongestIndex, toShares } from "./maps.js";
import { exportComparison } from "./png.js";

const MEAN = "mean";

function isSigned(side) {
  return side.value.signed.every(Boolean);
}

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, server, watch, lang, t }) {
  const name = viewerName(element, props);
  const part = findParts(root);

  // What the person chose; it outlives a change of value wherever it is still valid. Cells are A's.
  const chosen = {
    layer: [null, null],
    panel: [null, null],
    cell: -1,
    prefix: 0,
    pinned: false,
    link: true,
    opacity: 0.85,
    fade: true,
    smooth: false,
  };
  let view = null; // {sides: [A, B], grid, ...} of the value now shown
  let sequence = 0;
  const figures = ["a", "b", "difference"].map(figure);
  const schedule = oncePerFrame(draw);

  part.trio.replaceChildren(...figures.map((one) => one.node));
  connect();
  watch("value", load);
  load();

  /** One of the three maps: caption, stage, colour bar, and for A and B their own layer and head. */
  function figure(kind) {
    const node = createElement("figure", { "data-side": kind });
    const caption = createElement("figcaption"),
      stage = createElement("div", { class: "vit-stage", tabindex: "0", role: "application" });
    stage.setAttribute("aria-label", t("stage"));
    const picture = createElement("img", { class: "vit-picture", alt: "", hidden: "" });
    const canvas = createElement("canvas", { class: "vit-heat", width: "1", height: "1" });
    const mark = createElement("div", { class: "vit-cell vit-cell-query", hidden: "" });
    const message = createElement("div", { class: "vit-message" });
    stage.append(picture, canvas, mark, message);
    const bar = createElement("canvas"),
      low = createElement("span", { class: "vit-number" }),
      high = createElement("span", { class: "vit-number" });
    const legend = createElement(
      "div",
      { class: "vit-legend" },
      createElement("span", { class: "vit-bar" }, bar),
      createElement("span", { class: "vit-slot vit-slot-left" }, low),
      createElement("span", { class: "vit-slot" }, high),
    );
    const layer = createElement("input", { type: "range", min: "0", step: "1" }),
      number = createElement("output", { class: "vit-number" });
    const panel = createElement("select");
    layer.setAttribute("aria-label", `${kind.toUpperCase()}: ${t("layer")}`);
    panel.setAttribute("aria-label", `${kind.toUpperCase()}: ${t("head")}`);
    const own = createElement("div", { class: "vit-own" }, layer, number, panel);
    node.append(caption, stage, legend, own);
    own.hidden = kind === "difference";
    return {
      kind,
      node,
      caption,
      stage,
      picture,
      message,
      map: new HeatMap(canvas),
      mark,
      bar,
      low,
      high,
      layer,
      number,
      panel,
      own,
    };
  }

  // ---- a new value ------------------------------------------------------------------------------------------------
  function load() {
    const value = props.value && props.value.a ? props.value : null,
      mine = ++sequence;
    root.dataset.seq = mine;
    view?.sides.forEach((side) => side.data.stop());
    view = null;
    if (!value) return setState("empty");
    const sides = [value.a, value.b].map((one, index) => sideOf(one, index, mine));
    const [a, b] = sides,
      grid = a.value.grid;
    view = { value, sides, grid, ready: false, sameGrid: grid.join() === b.value.grid.join() };
    view.asIs = value.same_unit && view.sameGrid;
    if (chosen.cell >= grid[0] * grid[1] || chosen.cell < 0) Object.assign(chosen, { cell: -1, pinned: false });
    if (chosen.prefix >= a.value.prefix.length) chosen.prefix = 0;
    if (a.value.prefix.length === 0 && chosen.cell < 0)
      chosen.cell = Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 2);
    view.linkable = a.value.layers > 1 && b.value.layers > 1;
    if (chosen.link && view.linkable) chosen.layer[1] = sameDepth(0);
    setState("loading");
    build();
    want();
  }

  function sideOf(value, index, mine) {
    const side = { value, index, tokens: value.prefix.length + value.grid[0] * value.grid[1] };
    const panels = [...(value.mean ? [MEAN] : []), ...value.signed.keys()];
    const { layer, panel } = chosen;
    if (!(layer[index] < value.layers) || layer[index] === null) layer[index] = value.shown.layer;
    if (!panels.includes(panel[index])) panel[index] = panels[0];
    const failed = (error, needed) => {
      if (mine !== sequence || !(needed || error instanceof Expired)) return;
      const { state, message } = describeFailure(error, t);
      setState(state, message);
    };
    side.data = new StackData(
      value,
      server,
      () => {
        if (mine === sequence) schedule();
      },
      failed,
    );
    side.panels = panels;
    side.row = new Float32Array(side.tokens);
    if (value.picture)
      loadPicture(value.picture, (picture) => {
        if (mine === sequence) {
          side.picture = picture;
          place();
        }
      });
    return side;
  }

  /** The parts that depend on the value's shape. */
  function build() {
    const { sides } = view;
    sides.forEach((side, index) => {
      const one = figures[index],
        several = side.value.layers > 1 || side.panels.length > 1;
      const what = localise(side.value.notice, lang) || (side.value.by_query ? "" : t("picture_map"));
      one.caption.replaceChildren(
        `${"AB"[index]}: ${localise(side.value.name, lang)}`,
        createElement("small", {}, what),
      );
      one.own.hidden = !several;
      one.layer.hidden = one.number.hidden = side.value.layers < 2;
      one.layer.max = side.value.layers - 1;
      one.panel.hidden = side.panels.length < 2;
      one.panel.replaceChildren(
        ...side.panels.map((panel) =>
          createElement("option", { value: panel }, panel === MEAN ? t("mean") : t("head_of", { index: panel })),
        ),
      );
    });
    figures[2].caption.textContent = t("difference");
    const [a, b] = sides;
    part["link-field"].hidden = !view.linkable;
    const queried = a.value.by_query || b.value.by_query;
    part.chips.hidden = !queried || a.value.prefix.length === 0;
    view.chips = a.value.prefix.map((special, token) => {
      const button = createElement("button", { type: "button", class: "vit-chip" }, special);
      button.addEventListener("click", () => choose({ prefix: token, cell: -1, pinned: true }, true));
      return button;
    });
    part.chips.replaceChildren(...view.chips);
    setText(
      part.rule,
      view.asIs ? t("rule_same") : t("rule_shares", { resampled: view.sameGrid ? "" : t("resampled") }),
    );
    place();
  }

  /** Pictures under the maps; the difference lies over A's. */
  function place() {
    figures.forEach((one, index) => {
      const side = view.sides[index % 2],
        { picture } = side,
        [gh, gw] = side.value.grid;
      placePicture(one.picture, one.stage, picture, gh, gw);
      one.map.canvas.style.opacity = picture ? chosen.opacity : 1;
    });
    schedule();
  }

  function setState(state, message) {
    root.dataset.state = state;
    const covered = !view || !view.ready;
    for (const one of figures) {
      one.message.hidden = !covered;
      setText(one.message, covered ? message || t(state) : "");
      if (state === "empty") showEmpty(one.message, t);
    }
    part.notice.hidden = covered || !message;
    setText(part.notice, covered ? "" : message || "");
  }

  // ---- what people do ---------------------------------------------------------------------------------------------
  function choose(changes, aloud = false) {
    Object.assign(chosen, changes);
    if (view) view.aloud = view.aloud || aloud;
    schedule();
  }

  /** Set one side's layer or head; where linked, the other's to the same depth or the same head. */
  function setOwn(index, field, to) {
    if (!view) return;
    const other = 1 - index;
    chosen[field][index] = to;
    if (chosen.link && field === "layer" && view.linkable) chosen.layer[other] = sameDepth(index);
    if (chosen.link && field === "panel" && view.sides[other].panels.includes(to)) chosen.panel[other] = to;
    choose({}, true);
  }

  /** The other side's layer at the depth of side `index`'s. */
  function sameDepth(index) {
    const here = view.sides[index].value.layers - 1,
      there = view.sides[1 - index].value.layers - 1;
    return Math.round((chosen.layer[index] / here) * there);
  }

  function connect() {
    figures.forEach((one, index) => {
      const side = index % 2; // the difference is on A's grid
      const over = (event) => {
        if (!view || !view.ready) return -1;
        const cell = cellAt(event, one.stage, ...view.sides[side].value.grid);
        return cell < 0 ? -1 : matchingCell(cell, view.sides[side].value.grid, view.grid);
      };
      one.stage.addEventListener("pointermove", (event) => {
        const cell = over(event);
        if (cell >= 0 && !chosen.pinned && cell !== chosen.cell) choose({ cell });
      });
      one.stage.addEventListener("click", (event) => {
        const cell = over(event);
        if (cell >= 0) choose({ cell, pinned: !chosen.pinned || event.pointerType === "touch" }, true);
      });
      one.layer.addEventListener("input", () => setOwn(index, "layer", Number(one.layer.value)));
      one.panel.addEventListener("change", () =>
        setOwn(index, "panel", one.panel.value === MEAN ? MEAN : Number(one.panel.value)),
      );
    });
    root.addEventListener("keydown", onKey);
    part.link.addEventListener("change", () => {
      chosen.link = part.link.checked;
      if (chosen.link && view) ["layer", "panel"].forEach((field) => setOwn(0, field, chosen[field][0]));
    });
    part.opacity.addEventListener("input", () => {
      chosen.opacity = Number(part.opacity.value);
      if (view) place();
    });
    bindCheckboxes(part, ["fade", "smooth"], choose);
    part.save.addEventListener("click", () => {
      if (view && view.ready) exportComparison({ view, figures, chosen, part, name, t, lang });
    });
  }

  function onKey(event) {
    if (!view || !view.ready || isForeignKey(event)) return;
    const { key } = event,
      [gh, gw] = view.grid,
      [a] = view.sides;
    const step = event.target.matches(".vit-stage") ? arrowStep(key, Math.max(chosen.cell, 0), gh, gw) : null;
    if (step !== null) choose({ cell: chosen.cell < 0 ? 0 : step }, true);
    else if (key === "[" || key === "]")
      setOwn(0, "layer", nearestIndex(chosen.layer[0] + (key === "]" ? 1 : -1), a.value.layers));
    else if (key === "," || key === ".")
      setOwn(
        0,
        "panel",
        a.panels[nearestIndex(a.panels.indexOf(chosen.panel[0]) + (key === "." ? 1 : -1), a.panels.length)],
      );
    else if (key === "c" && a.value.prefix.length) choose({ cell: -1, prefix: 0, pinned: true }, true);
    else if (key === "Enter") choose({ pinned: !chosen.pinned }, true);
    else if (key === "Escape") choose({ pinned: false }, true);
    else return;
    event.preventDefault();
  }

  /** The token that a side shows the map of: the chosen cell's, or the special token of the same name. */
  function queryOf(side) {
    const names = side.value.prefix;
    if (chosen.cell >= 0) return names.length + matchingCell(chosen.cell, view.grid, side.value.grid);
    return Math.max(names.indexOf(view.sides[0].value.prefix[chosen.prefix]), 0);
  }

  // ---- one drawing ------------------------------------------------------------------------------------------------
  function want() {
    return view.sides.map((side) => side.data.want(chosen.layer[side.index], queryOf(side), "to"));
  }

  function draw() {
    if (!view) return;
    const blocks = want();
    root.toggleAttribute("data-pending", !blocks.every(Boolean));
    if (!blocks.every(Boolean)) return;
    if (!view.ready || root.dataset.state === "error") {
      view.ready = true;
      setState("ready");
    }
    const maps = view.sides.map((side, index) => patchesOf(side, blocks[index]));
    const onGrid = [maps[0], resample(maps[1], view.sides[1].value.grid, view.grid)];
    const scaled = view.asIs ? onGrid : onGrid.map(toShares);
    const difference = scaled[0].map((value, patch) => value - scaled[1][patch]);
    Object.assign(view, { maps, scaled, difference });
    const units = [
      ...view.sides.map((side) => (side.value.percent ? "percent" : "number")),
      view.asIs && !view.sides[0].value.percent ? "number" : "percent",
    ];
    const ranges = [
      ...maps.map((map, index) => mapRange(map, isSigned(view.sides[index]))),
      mapRange(difference, true),
    ];
    if (view.asIs && ranges[0].signed === ranges[1].signed) {
      // one scale for A and B where one is meaningful
      for (const end of ["low", "high"])
        ranges[0][end] = ranges[1][end] = (end === "low" ? Math.min : Math.max)(ranges[0][end], ranges[1][end]);
    }
    figures.forEach((one, index) => {
      const side = view.sides[index % 2],
        [gh, gw] = index === 2 ? view.grid : side.value.grid,
        { low, high, signed } = ranges[index];
      const colours = signed ? "diverging" : "viridis",
        faded = chosen.fade && side.picture;
      one.map.draw(
        index === 2 ? difference : maps[index],
        0,
        gh,
        gw,
        low,
        high,
        faded ? fadedTable(colours) : colourTable(colours),
        chosen.smooth,
      );
      showLegend(one, colourTable(colours), formatEnds(low, high, units[index]));
      placeCell(one.mark, chosen.cell < 0 ? -1 : matchingCell(chosen.cell, view.grid, [gh, gw]), gh, gw);
      if (index < 2) {
        one.layer.value = chosen.layer[index];
        setText(one.number, `${t("layer")} ${chosen.layer[index]} / ${side.value.layers - 1}`);
        one.panel.value = chosen.panel[index];
      }
    });
    view.chips.forEach((chip, token) => chip.setAttribute("aria-pressed", chosen.cell < 0 && token === chosen.prefix));
    drawNumbers(units);
  }

  /** The map over the patches that one side shows. */
  function patchesOf(side, block) {
    const { row, value, index } = side,
      query = queryOf(side),
      panel = chosen.panel[index];
    const out = new Float32Array(side.tokens),
      panels = panel === MEAN ? value.signed.keys() : [panel];
    let count = 0;
    for (const each of panels) {
      readRow(block, each, value.signed[each], query, "to", row);
      for (let token = 0; token < out.length; token++) out[token] += row[token];
      count++;
    }
    return out.slice(value.prefix.length).map((sum) => sum / count);
  }

  function drawNumbers(units) {
    const { maps, scaled, difference, grid } = view,
      [a, b] = scaled;
    const most = strongestIndex(difference),
      cell = chosen.cell < 0 ? most : chosen.cell;
    const there = matchingCell(cell, grid, view.sides[1].value.grid);
    const placed = (at) => placeOf(at, grid[1]);
    const side = (index, at) => {
      // in the difference's unit, and as the map has it where that is another number
      const value = formatNumber(scaled[index][cell], units[2]),
        raw = formatNumber(maps[index][at], units[index]);
      return value === raw ? value : t("with_raw", { value, raw });
    };
    const reading = t("reading", {
      query: t("patch", placed(cell)),
      a: side(0, cell),
      b: side(1, there),
      difference: formatNumber(difference[cell], units[2]),
    });
    setText(part.reading, reading);
    if (view.aloud) setText(part.spoken, reading);
    view.aloud = false;
    const said = (value) => (Number.isNaN(value) ? t("none") : value.toFixed(3));
    view.facts = {
      pearson: said(pearson(a, b)),
      spearman: said(pearson(ranks(a), ranks(b))),
      overlap: formatNumber(overlap(a, b), "percent"),
      largest: t("at", { value: formatNumber(difference[most], units[2]), ...placed(most) }),
    };
    if (!part.facts.children.length) {
      part.facts.replaceChildren(
        ...Object.keys(view.facts).map((key) =>
          createElement("div", { "data-fact": key }, createElement("dt", {}, t(key)), createElement("dd")),
        ),
      );
    }
    for (const [key, text] of Object.entries(view.facts))
      setText(part.facts.querySelector(`[data-fact=${key}] dd`), text);
  }
}
