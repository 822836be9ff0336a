// Two sides and their difference in one element: hovered, pinned and layered together, with no request on a hover.
const MEAN = "mean";
const root = element.querySelector("[data-part=root]");
const name = vit.nameOf(element, props);
const part = vit.parts(root);
const lang = vit.language(props.lang), t = vit.translator(TEXT, lang);

// What the person chose; it outlives a change of value wherever it is still valid. Cells are A's.
const chosen = { layer: [null, null], panel: [null, null], cell: -1, prefix: 0, pinned: false, link: true, opacity: 0.85, fade: true, smooth: false };
let view = null; // {sides: [A, B], grid, ...} of the value now shown
let sequence = 0;
const figures = ["a", "b", "difference"].map(figure);
const schedule = vit.painter(draw);

vit.fillText(root, t);
part.trio.replaceChildren(...figures.map((one) => one.node));
connect();
watch("value", load);
load();

/** One of the three maps: caption, stage, colour bar, and for A and B their own layer and head. */
function figure(kind) {
  const node = vit.element("figure", { "data-side": kind });
  const caption = vit.element("figcaption"), stage = vit.element("div", { class: "vit-stage", tabindex: "0", role: "application" });
  stage.setAttribute("aria-label", t("stage"));
  const picture = vit.element("img", { class: "vit-picture", alt: "", hidden: "" });
  const canvas = vit.element("canvas", { class: "vit-heat", width: "1", height: "1" });
  const mark = vit.element("div", { class: "vit-cell vit-cell-query", hidden: "" });
  const message = vit.element("div", { class: "vit-message" });
  stage.append(picture, canvas, mark, message);
  const bar = vit.element("canvas"), low = vit.element("span", { class: "vit-number" }), high = vit.element("span", { class: "vit-number" });
  const legend = vit.element("div", { class: "vit-legend" }, vit.element("span", { class: "vit-bar" }, bar),
    vit.element("span", { class: "vit-slot vit-slot-left" }, low), vit.element("span", { class: "vit-slot" }, high));
  const layer = vit.element("input", { type: "range", min: "0", step: "1" }), number = vit.element("output", { class: "vit-number" });
  const panel = vit.element("select");
  layer.setAttribute("aria-label", `${kind.toUpperCase()}: ${t("layer")}`);
  panel.setAttribute("aria-label", `${kind.toUpperCase()}: ${t("head")}`);
  const own = vit.element("div", { class: "vit-own" }, layer, number, panel);
  node.append(caption, stage, legend, own);
  own.hidden = kind === "difference";
  return { kind, node, caption, stage, picture, message, map: new vit.HeatMap(canvas), mark, bar, low, high, layer, number, panel, own };
}

// ---- a new value ---------------------------------------------------------------------------------------------------
function load() {
  const value = props.value && props.value.a ? props.value : null, mine = ++sequence;
  root.dataset.seq = mine;
  view?.sides.forEach((side) => side.data.stop());
  view = null;
  if (!value) return setState("empty");
  const sides = [value.a, value.b].map((one, index) => sideOf(one, index, mine));
  const [a, b] = sides, grid = a.value.grid;
  view = { value, sides, grid, ready: false, sameGrid: grid.join() === b.value.grid.join() };
  view.asIs = value.same_unit && view.sameGrid;
  if (chosen.cell >= grid[0] * grid[1] || chosen.cell < 0) Object.assign(chosen, { cell: -1, pinned: false });
  if (chosen.prefix >= a.value.prefix.length) chosen.prefix = 0;
  if (a.value.prefix.length === 0 && chosen.cell < 0) chosen.cell = Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 2);
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
    setState(error instanceof Expired ? "expired" : "error", t(error instanceof Expired ? "expired" : "error", { reason: error.message }));
  };
  side.data = new StackData(value, server, () => { if (mine === sequence) schedule(); }, failed);
  side.panels = panels;
  side.row = new Float32Array(side.tokens);
  if (value.picture) vit.loadPicture(value.picture, (picture) => { if (mine === sequence) { side.picture = picture; place(); } });
  return side;
}

/** The parts that depend on the value's shape. */
function build() {
  const { sides, value } = view;
  sides.forEach((side, index) => {
    const one = figures[index], several = side.value.layers > 1 || side.panels.length > 1;
    const what = vit.localise(side.value.notice, lang) || (side.value.by_query ? "" : t("picture_map"));
    one.caption.replaceChildren(`${"AB"[index]}: ${vit.localise(side.value.name, lang)}`, vit.element("small", {}, what));
    one.own.hidden = !several;
    one.layer.hidden = one.number.hidden = side.value.layers < 2;
    one.layer.max = side.value.layers - 1;
    one.panel.hidden = side.panels.length < 2;
    one.panel.replaceChildren(...side.panels.map((panel) =>
      vit.element("option", { value: panel }, panel === MEAN ? t("mean") : t("head_of", { index: panel }))));
  });
  figures[2].caption.textContent = t("difference");
  const [a, b] = sides;
  part["link-field"].hidden = !view.linkable;
  const queried = a.value.by_query || b.value.by_query;
  part.chips.hidden = !queried || a.value.prefix.length === 0;
  view.chips = a.value.prefix.map((name, token) => {
    const button = vit.element("button", { type: "button", class: "vit-chip" }, name);
    button.addEventListener("click", () => choose({ prefix: token, cell: -1, pinned: true }, true));
    return button;
  });
  part.chips.replaceChildren(...view.chips);
  vit.setText(part.rule, view.asIs ? t("rule_same") : t("rule_shares", { resampled: view.sameGrid ? "" : t("resampled") }));
  place();
}

/** Pictures under the maps; the difference lies over A's. */
function place() {
  figures.forEach((one, index) => {
    const side = view.sides[index % 2], { picture } = side, [gh, gw] = side.value.grid;
    vit.placePicture(one.picture, one.stage, picture, gh, gw);
    one.map.canvas.style.opacity = picture ? chosen.opacity : 1;
  });
  schedule();
}

function setState(state, message) {
  root.dataset.state = state;
  const covered = !view || !view.ready;
  for (const one of figures) {
    one.message.hidden = !covered;
    vit.setText(one.message, covered ? message || t(state) : "");
    if (state === "empty") vit.sayEmpty(one.message, t);
  }
  part.notice.hidden = covered || !message;
  vit.setText(part.notice, covered ? "" : message || "");
}

// ---- what people do ------------------------------------------------------------------------------------------------
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
  const here = view.sides[index].value.layers - 1, there = view.sides[1 - index].value.layers - 1;
  return Math.round((chosen.layer[index] / here) * there);
}

function connect() {
  figures.forEach((one, index) => {
    const side = index % 2; // the difference is on A's grid
    const over = (event) => {
      if (!view || !view.ready) return -1;
      const cell = vit.cellAt(event, one.stage, ...view.sides[side].value.grid);
      return cell < 0 ? -1 : sameplace(cell, view.sides[side].value.grid, view.grid);
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
    one.panel.addEventListener("change", () => setOwn(index, "panel", one.panel.value === MEAN ? MEAN : Number(one.panel.value)));
  });
  root.addEventListener("keydown", onKey);
  part.link.addEventListener("change", () => {
    chosen.link = part.link.checked;
    if (chosen.link && view) ["layer", "panel"].forEach((field) => setOwn(0, field, chosen[field][0]));
  });
  part.opacity.addEventListener("input", () => { chosen.opacity = Number(part.opacity.value); if (view) place(); });
  for (const box of ["fade", "smooth"]) part[box].addEventListener("change", () => choose({ [box]: part[box].checked }));
  part.save.addEventListener("click", () => { if (view && view.ready) exportComparison(); });
}

function onKey(event) {
  if (!view || !view.ready || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  const { key } = event, [gh, gw] = view.grid, [a] = view.sides;
  const near = (number, limit) => Math.min(Math.max(number, 0), limit - 1);
  const step = event.target.matches(".vit-stage") ? vit.arrowStep(key, Math.max(chosen.cell, 0), gh, gw) : null;
  if (step !== null) choose({ cell: chosen.cell < 0 ? 0 : step }, true);
  else if (key === "[" || key === "]") setOwn(0, "layer", near(chosen.layer[0] + (key === "]" ? 1 : -1), a.value.layers));
  else if (key === "," || key === ".") setOwn(0, "panel", a.panels[near(a.panels.indexOf(chosen.panel[0]) + (key === "." ? 1 : -1), a.panels.length)]);
  else if (key === "c" && a.value.prefix.length) choose({ cell: -1, prefix: 0, pinned: true }, true);
  else if (key === "Enter") choose({ pinned: !chosen.pinned }, true);
  else if (key === "Escape") choose({ pinned: false }, true);
  else return;
  event.preventDefault();
}

/** The cell of another grid that covers the middle of this one's. */
function sameplace(cell, [gh, gw], [toH, toW]) {
  const row = Math.floor(((Math.floor(cell / gw) + 0.5) / gh) * toH), column = Math.floor((((cell % gw) + 0.5) / gw) * toW);
  return row * toW + column;
}

/** The token that a side shows the map of: the chosen cell's, or the special token of the same name. */
function queryOf(side) {
  const names = side.value.prefix;
  if (chosen.cell >= 0) return names.length + sameplace(chosen.cell, view.grid, side.value.grid);
  return Math.max(names.indexOf(view.sides[0].value.prefix[chosen.prefix]), 0);
}

// ---- one drawing ---------------------------------------------------------------------------------------------------
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
  const onGrid = [maps[0], resampled(maps[1], view.sides[1].value.grid, view.grid)];
  const scaled = view.asIs ? onGrid : onGrid.map(asShares);
  const difference = scaled[0].map((value, patch) => value - scaled[1][patch]);
  Object.assign(view, { maps, scaled, difference });
  const units = [...view.sides.map((side) => (side.value.percent ? "percent" : "number")),
    view.asIs && !view.sides[0].value.percent ? "number" : "percent"];
  const ranges = [...maps.map((map, index) => rangeOf(map, isSigned(view.sides[index]))), rangeOf(difference, true)];
  if (view.asIs && ranges[0].signed === ranges[1].signed) { // one scale for A and B where one is meaningful
    for (const end of ["low", "high"]) ranges[0][end] = ranges[1][end] = (end === "low" ? Math.min : Math.max)(ranges[0][end], ranges[1][end]);
  }
  figures.forEach((one, index) => {
    const side = view.sides[index % 2], [gh, gw] = index === 2 ? view.grid : side.value.grid, { low, high, signed } = ranges[index];
    const colours = signed ? "diverging" : "viridis", faded = chosen.fade && side.picture;
    one.map.draw(index === 2 ? difference : maps[index], 0, gh, gw, low, high, faded ? vit.faded(colours) : vit.colours(colours), chosen.smooth);
    vit.drawBar(one.bar, vit.colours(colours));
    const [least, most] = vit.ends(low, high, units[index]);
    vit.setText(one.low, least);
    vit.setText(one.high, most);
    vit.placeCell(one.mark, chosen.cell < 0 ? -1 : sameplace(chosen.cell, view.grid, [gh, gw]), gh, gw);
    if (index < 2) {
      one.layer.value = chosen.layer[index];
      vit.setText(one.number, `${t("layer")} ${chosen.layer[index]} / ${side.value.layers - 1}`);
      one.panel.value = chosen.panel[index];
    }
  });
  view.chips.forEach((chip, token) => chip.setAttribute("aria-pressed", chosen.cell < 0 && token === chosen.prefix));
  drawNumbers(units);
}

function isSigned(side) {
  return side.value.signed.every(Boolean);
}

/** The map over the patches that one side shows. */
function patchesOf(side, block) {
  const { row, value, index } = side, query = queryOf(side), panel = chosen.panel[index];
  const out = new Float32Array(side.tokens), panels = panel === MEAN ? value.signed.keys() : [panel];
  let count = 0;
  for (const each of panels) {
    vit.readRow(block, each, value.signed[each], query, "to", row);
    for (let token = 0; token < out.length; token++) out[token] += row[token];
    count++;
  }
  return out.slice(value.prefix.length).map((sum) => sum / count);
}

function rangeOf(map, signed) {
  const high = map.reduce((most, value) => Math.max(most, value), -Infinity), low = map.reduce((least, value) => Math.min(least, value), Infinity);
  const edge = Math.max(high, -low);
  return signed ? { low: -edge, high: edge, signed } : { low, high, signed };
}

function drawNumbers(units) {
  const { maps, scaled, difference, grid } = view, [a, b] = scaled;
  const cell = chosen.cell < 0 ? difference.reduce((best, value, at) => (Math.abs(value) > Math.abs(difference[best]) ? at : best), 0) : chosen.cell;
  const there = sameplace(cell, grid, view.sides[1].value.grid);
  const place = (at) => ({ index: at, row: Math.floor(at / grid[1]), column: at % grid[1] });
  const side = (index, at) => { // in the difference's unit, and as the map has it where that is another number
    const value = vit.number(scaled[index][cell], units[2]), raw = vit.number(maps[index][at], units[index]);
    return value === raw ? value : t("with_raw", { value, raw });
  };
  const reading = t("reading", {
    query: t("patch", place(cell)), a: side(0, cell), b: side(1, there), difference: vit.number(difference[cell], units[2]),
  });
  vit.setText(part.reading, reading);
  if (view.aloud) vit.setText(part.spoken, reading);
  view.aloud = false;
  const most = difference.reduce((best, value, at) => (Math.abs(value) > Math.abs(difference[best]) ? at : best), 0);
  const said = (value) => (Number.isNaN(value) ? t("none") : value.toFixed(3));
  view.facts = {
    pearson: said(pearson(a, b)), spearman: said(pearson(ranks(a), ranks(b))), overlap: vit.number(overlap(a, b), "percent"),
    largest: t("at", { value: vit.number(difference[most], units[2]), ...place(most) }),
  };
  if (!part.facts.children.length) {
    part.facts.replaceChildren(...Object.keys(view.facts).map((key) =>
      vit.element("div", { "data-fact": key }, vit.element("dt", {}, t(key)), vit.element("dd"))));
  }
  for (const [key, text] of Object.entries(view.facts)) vit.setText(part.facts.querySelector(`[data-fact=${key}] dd`), text);
}
