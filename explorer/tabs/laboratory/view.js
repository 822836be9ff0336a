// The bench: patches are selected and changed, and everything that is changed is kept here, in the browser, step by
// step.
// Python gets all of it with each "edit".
import { cellAt, placeCell } from "../../viewer/kit/scripts/cells.js";
import { arrowStep } from "../../viewer/kit/scripts/keyboard.js";
import { dispatch, listen, oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, findParts, setText } from "../../viewer/kit/scripts/nodes.js";
import { showEmpty } from "../../viewer/kit/scripts/state.js";
import { localise } from "../../viewer/kit/scripts/words.js";

const NOTHING = {
  steps: [],
  positions: "kept",
  seed: 0,
  heads: [],
  mlps: [],
  layers: [],
  size: "",
  method: "own",
  target: "",
};
const PAUSE = 250; // milliseconds after the last change before Python is asked
const MOST_STEPS = 100,
  CELL = 16;
const copy = (edits) => JSON.parse(JSON.stringify(edits));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, trigger, watch, lang, t }) {
  const part = findParts(root);

  let view = null; // the value, once there is one
  let edits = copy(NOTHING),
    past = [],
    ablated = false; // what is changed, and all that was before
  // On which the steps' patches are counted: `grid`, but while Python carries them over to another.
  let stepsGrid = [1, 1];
  let before = null,
    seenAt = ""; // {size, grid, steps, carried}: the steps at the last size, and what came of them
  let layer = null; // whose attention is looked at, where it has been chosen
  let grid = [1, 1],
    dropped = new Set(),
    selected = new Set(),
    cursor = 0; // of the picture as it is now
  let tool = "select",
    drag = null,
    timer = 0;
  const schedule = oncePerFrame(draw);

  connect();

  /**
   * A new picture or model. Switches stay where the model has them, changes to patches where they are in the picture.
   */
  function load() {
    const value = props.value?.seq ? props.value : null;
    root.dataset.seq = Number(root.dataset.seq) + 1;
    if (!value) {
      view = null;
      root.dataset.state = "empty";
      part.message.hidden = false;
      return showEmpty(part.message, t);
    }
    const shape = [value.layers, value.heads].join();
    if (view && shape !== [view.layers, view.heads].join()) edits = copy(NOTHING);
    if (view && !same(view.grid, value.grid)) edits = { ...edits, size: "" };
    past = [];
    before = null;
    seenAt = edits.size;
    tell("");
    ablated = false;
    view = value;
    toGrid(value.grid, []);
    if (!edits.steps.length) stepsGrid = grid;
    part.picture.src = value.picture.url;
    part.message.hidden = true;
    part.method.replaceChildren(
      ...value.methods.map(([name, caption]) => createElement("option", { value: name }, localise(caption, lang))),
    );
    part["target-field"].hidden = !value.head;
    part.target.placeholder = t("target_predicted");
    part.size.placeholder = t("size_native");
    part.classes.replaceChildren(...(value.labels ?? []).map((label) => createElement("option", { value: label })));
    root.dataset.state = "ready";
    settle();
    if (!same(edits, NOTHING)) ask();
  }

  function toGrid(shape, without) {
    if (!same(grid, shape)) {
      selected = new Set();
      cursor = 0;
    }
    grid = shape;
    dropped = new Set(without);
    part.stage.style.aspectRatio = `${grid[1]} / ${grid[0]}`;
    schedule();
  }

  // ---- changes ----------------------------------------------------------------------------------------------------
  function change(changes) {
    if (!view || same({ ...edits, ...changes }, edits)) return;
    past.push({ edits: copy(edits), stepsGrid });
    const back = before && "size" in changes && !changes.steps && pixels(changes.size) === pixels(before.size);
    if (back && same(edits.steps, before.carried)) {
      // and nothing is lost by it
      changes = { ...changes, steps: before.steps };
      stepsGrid = before.grid;
    }
    edits = { ...edits, ...changes };
    tell("");
    settle();
    ask();
  }

  /** The controls as the edits say, and everyone told. */
  function settle() {
    for (const name of ["positions", "size", "method", "target"])
      if (part[name] !== document.activeElement) part[name].value = edits[name];
    part.undo.disabled = !past.length;
    part.reset.disabled = same(edits, NOTHING);
    const counts = {
      steps: edits.steps.length,
      heads: edits.heads.length,
      mlps: edits.mlps.length,
      layers: edits.layers.length,
    };
    setText(part.summary, t("summary", counts));
    const { heads, mlps, layers } = edits;
    dispatch("vit:lab", { from: "bench", heads, mlps, layers, edits: told() });
    announce();
    schedule();
  }

  /** The edits as Python reads them. The grid belongs to the steps: without them it says nothing. */
  const told = () => (edits.steps.length ? { ...edits, grid: stepsGrid } : { ...edits });

  /** "height,width" of a size as it is typed: "384", "384x512", or nothing for the model's own. */
  const pixels = (size) => {
    const [height, width = height] = size ? size.split(/[x×]/i).map(Number) : view.size;
    return `${height},${width}`;
  };

  /** A sentence that stays until the next change. */
  function tell(sentence) {
    setText(part.notice, sentence);
    part.notice.hidden = !sentence;
  }

  function announce() {
    const detail = { viewer: "laboratory", edits: { ...edits, grid: stepsGrid }, ablation: ablated };
    dispatch("vit:state", detail);
  }

  function ask() {
    clearTimeout(timer);
    root.dataset.state = "waiting";
    timer = setTimeout(() => trigger("edit", { edits: told(), layer }), PAUSE);
  }

  function step(kind, more = {}) {
    if (edits.steps.length && !same(stepsGrid, grid)) return; // they are being carried over
    stepsGrid = grid;
    if (!selected.size) return setText(part.reading, t("select_first"));
    if (edits.steps.length >= MOST_STEPS) return setText(part.reading, t("too_many_steps", { most: MOST_STEPS }));
    const patches = [...selected].sort((a, b) => a - b);
    change({ steps: [...edits.steps, { kind, patches, seed: edits.steps.length, ...more }] });
    if (kind === "drop") selected = new Set(); // there is nothing left to change
  }

  /** Move what is selected as far as the grid reaches; the selection goes along. */
  function move(down, across) {
    const [gh, gw] = grid,
      rows = [...selected].map((cell) => Math.floor(cell / gw)),
      columns = [...selected].map((cell) => cell % gw);
    if (!selected.size) return step("move");
    down = Math.min(Math.max(down, -Math.min(...rows)), gh - 1 - Math.max(...rows));
    across = Math.min(Math.max(across, -Math.min(...columns)), gw - 1 - Math.max(...columns));
    if (!down && !across) return;
    step("move", { by: [down, across] });
    selected = new Set([...selected].map((cell) => cell + down * gw + across));
    schedule();
  }

  function toggle(row, column) {
    const { heads: H } = view,
      off = (list, item) =>
        list.some((one) => same(one, item)) ? list.filter((one) => !same(one, item)) : [...list, item];
    if (column < H) change({ heads: off(edits.heads, [row, column]) });
    else if (column === H) change({ mlps: off(edits.mlps, row) });
    else change({ layers: off(edits.layers, row) });
  }

  function connect() {
    const { stage } = part;
    stage.addEventListener("pointerdown", (event) => {
      const cell = cellAt(event, stage, ...grid);
      if (!view || cell < 0) return;
      stage.setPointerCapture(event.pointerId);
      cursor = cell;
      if (tool === "move") drag = { from: cell, to: cell };
      else {
        drag = { add: !selected.has(cell) };
        paint(cell);
      }
      schedule();
    });
    stage.addEventListener("pointermove", (event) => {
      const cell = cellAt(event, stage, ...grid);
      if (!view || cell < 0 || cell === cursor) return;
      cursor = cell;
      if (drag && tool === "move") drag.to = cell;
      else if (drag) paint(cell);
      schedule();
    });
    const end = () => {
      const done = drag;
      drag = null;
      if (done?.from !== undefined && done.from !== done.to) {
        const [down, across] = offset(done);
        move(down, across);
      }
      schedule();
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", () => {
      drag = null;
      schedule();
    });
    stage.addEventListener("keydown", onKey);
    for (const button of root.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => {
        tool = button.dataset.tool;
        schedule();
      });
    }
    for (const button of root.querySelectorAll("[data-kind]"))
      button.addEventListener("click", () => step(button.dataset.kind));
    for (const button of root.querySelectorAll("[data-by]"))
      button.addEventListener("click", () => move(...button.dataset.by.split(",").map(Number)));
    const all = () => Array.from({ length: grid[0] * grid[1] }, (_, cell) => cell);
    const select = (cells) => {
      selected = new Set(cells);
      schedule();
    };
    part.all.addEventListener("click", () => select(all()));
    part.none.addEventListener("click", () => select([]));
    part.invert.addEventListener("click", () => select(all().filter((cell) => !selected.has(cell))));
    part.positions.addEventListener("change", () => change({ positions: part.positions.value, seed: edits.seed + 1 }));
    part.method.addEventListener("change", () => change({ method: part.method.value }));
    part.size.addEventListener("change", () => change({ size: part.size.value.trim() }));
    part.target.addEventListener("change", () => change({ target: part.target.value.trim() }));
    part.undo.addEventListener("click", undo);
    part.reset.addEventListener("click", () => change(copy(NOTHING)));
    listen(root, "vit:lab", ({ detail }) => {
      if (!view || detail.from === "bench") return;
      if (detail.toggle) toggle(...detail.toggle);
      if (detail.hello) settle(); // a view that came later than this one
      if (detail.outcome) arrived(detail.outcome);
      if (detail.layer !== undefined) {
        layer = detail.layer;
        if (detail.ask) ask();
      }
      if (detail.ablated !== undefined) {
        ablated = detail.ablated;
        announce();
      }
    });
  }

  function offset({ from, to }) {
    const gw = grid[1];
    return [Math.floor(to / gw) - Math.floor(from / gw), (to % gw) - (from % gw)];
  }

  function paint(cell) {
    if (drag.add) selected.add(cell);
    else selected.delete(cell);
  }

  function undo() {
    if (!past.length) return;
    ({ edits, stepsGrid } = past.pop());
    tell("");
    settle();
    ask();
  }

  function onKey(event) {
    if (!view || event.ctrlKey || event.metaKey) {
      if (view && event.key === "z" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        undo();
      }
      return;
    }
    const to = arrowStep(event.key, cursor, ...grid);
    const kinds = { d: "drop", g: "grey", b: "blur", s: "shuffle" };
    if (to !== null && event.altKey) move(...offset({ from: cursor, to }));
    else if (to !== null) {
      if (event.shiftKey) {
        selected.add(cursor);
        selected.add(to);
      }
      cursor = to;
    } else if (event.key === " ") {
      if (!selected.delete(cursor)) selected.add(cursor);
    } else if (event.key === "Escape") selected = new Set();
    else if (kinds[event.key]) step(kinds[event.key]);
    else return;
    event.preventDefault();
    schedule();
  }

  /** What Python made of it: the picture as it is now, and the steps where it carried them over to its patches. */
  function arrived({ of, picture, grid: now, dropped: without, carried }) {
    if (!same(of ?? NOTHING, told())) return; // something has changed since: another answer is under way
    part.picture.src = picture;
    if (carried) {
      before = { size: seenAt, grid: stepsGrid, steps: edits.steps, carried: carried.steps };
      edits = { ...edits, steps: carried.steps };
    }
    stepsGrid = now;
    seenAt = edits.size;
    toGrid(now, without);
    root.dataset.state = "ready";
    settle();
    if (!carried) return;
    const { moves, unseen, steps } = carried,
      counts = { kept: steps.length, moves, unseen };
    tell(
      ["carried", ...(moves ? ["carried_moves"] : []), ...(unseen ? ["carried_unseen"] : [])]
        .map((key) => t(key, counts))
        .join(" "),
    );
  }

  // ---- one drawing ------------------------------------------------------------------------------------------------
  function draw() {
    if (!view) return;
    const [gh, gw] = grid,
      canvas = part.marks;
    if (canvas.width !== gw * CELL || canvas.height !== gh * CELL)
      Object.assign(canvas, { width: gw * CELL, height: gh * CELL });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const cell of dropped) {
      // crossed out
      const x = (cell % gw) * CELL,
        y = Math.floor(cell / gw) * CELL;
      context.fillStyle = "rgb(20 22 28 / 0.9)";
      context.fillRect(x, y, CELL, CELL);
      context.strokeStyle = "rgb(255 255 255 / 0.5)";
      context.beginPath();
      context.moveTo(x + 3, y + 3);
      context.lineTo(x + CELL - 3, y + CELL - 3);
      context.stroke();
    }
    const [down, across] = drag?.from === undefined ? [0, 0] : offset(drag);
    for (const cell of selected) {
      const x = ((cell % gw) + across) * CELL,
        y = (Math.floor(cell / gw) + down) * CELL;
      context.fillStyle = "rgb(255 214 10 / 0.28)";
      context.fillRect(x, y, CELL, CELL);
      for (const [colour, line] of [
        ["#000", 3],
        ["#ffd60a", 1.5],
      ]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect(x + 1.5, y + 1.5, CELL - 3, CELL - 3);
      }
      context.lineWidth = 1;
    }
    placeCell(part.cursor, cursor, gh, gw);
    root.dataset.tool = tool;
    for (const button of root.querySelectorAll("[data-tool]"))
      button.setAttribute("aria-pressed", button.dataset.tool === tool);
    const place = { row: Math.floor(cursor / gw), column: cursor % gw, index: cursor, count: selected.size };
    setText(part.reading, t(dropped.has(cursor) ? "reading_dropped" : "reading", place));
  }

  watch("value", load);
  load(); // last, when everything above has its value
}
