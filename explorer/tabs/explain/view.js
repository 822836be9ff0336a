// Maps of all methods, one of them large. Everything is here already: to choose another asks the server nothing.
import { cellAt, placeCell, placeOf, placePicture } from "../../viewer/kit/scripts/cells.js";
import { colourTable, fadedTable } from "../../viewer/kit/scripts/colours.js";
import { bindCheckboxes, bindColours } from "../../viewer/kit/scripts/controls.js";
import { fromBase64, loadPicture } from "../../viewer/kit/scripts/fetching.js";
import { HeatMap } from "../../viewer/kit/scripts/heatmap.js";
import { arrowStep, isForeignKey } from "../../viewer/kit/scripts/keyboard.js";
import { showLegend } from "../../viewer/kit/scripts/legend.js";
import { dispatch, oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, findParts, setText } from "../../viewer/kit/scripts/nodes.js";
import { nearestIndex } from "../../viewer/kit/scripts/numbers.js";
import { showEmpty } from "../../viewer/kit/scripts/state.js";
import { localise } from "../../viewer/kit/scripts/words.js";
import { exportExplanation } from "./png.js";

const low = (one) => (one.signed ? -one.limit : 0);

/** Three digits that count, whatever the unit's size. */
const amount = (value) =>
  value === 0
    ? "0"
    : Math.abs(value) >= 0.001 && Math.abs(value) < 1000
      ? value.toPrecision(3)
      : value.toExponential(2);

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, watch, lang, t, constants }) {
  const { viewer, groups } = constants;
  const part = findParts(root);

  // What the person chose; it outlives a change of value wherever it is still valid.
  // A method of null is the one that the value proposes.
  const chosen = {
    method: null,
    cell: -1,
    pinned: false,
    colours: "viridis",
    opacity: 0.85,
    fade: true,
    smooth: false,
  };
  let view = null; // {value, gh, gw, picture, methods: [{name, map, limit, strongest, ...}]} of the value now shown
  let sequence = 0,
    said = "";
  const heat = new HeatMap(part.heat);
  const schedule = oncePerFrame(draw),
    others = createElement("style");

  root.append(others);
  connect();

  // ---- a new value ------------------------------------------------------------------------------------------------
  function load() {
    const value = props.value && props.value.methods ? props.value : null,
      mine = ++sequence,
      before = view;
    view = null;
    if (!value) return finish("empty");
    const [gh, gw] = value.grid,
      same = before && before.gh === gh && before.gw === gw;
    view = { value, gh, gw, picture: null, methods: value.methods.map(decoded) };
    if (!same) Object.assign(chosen, { cell: -1, pinned: false });
    if (!view.methods.some((one) => one.name === chosen.method)) chosen.method = null;
    const on = view.methods.filter((one) => one.map); // without a head, relevance is off
    view.proposed = on.find((one) => one.name === "relevance") ?? on[0] ?? view.methods[0];
    build();
    place();
    loadPicture(value.picture, (picture) => {
      if (mine === sequence) {
        view.picture = picture;
        place();
      }
    });
    finish("ready");
  }

  function finish(state) {
    root.dataset.state = state;
    root.dataset.seq = sequence;
    part.message.hidden = state !== "empty";
    if (state === "empty") showEmpty(part.message, t);
    else setText(part.message, "");
    schedule();
  }

  /** One method's numbers: its map, the end of its scale, and its strongest patch. */
  function decoded(method) {
    const name = method.name,
      label = t(`name_${name}`);
    if (!method.values) return { ...method, label, map: null };
    const map = new Float32Array(fromBase64(method.values));
    const strongest = map.reduce((best, value, at) => (Math.abs(value) > Math.abs(map[best]) ? at : best), 0);
    return { ...method, label, map, strongest, limit: Math.abs(map[strongest]) };
  }

  /** The parts that depend on which methods there are. */
  function build() {
    const { value, methods, gh, gw } = view;
    setText(part.title, localise(value.title, lang));
    const notice = localise(value.notice, lang);
    part.notice.hidden = !notice;
    setText(part.notice, notice);
    const focused = part.thumbs.contains(document.activeElement) ? document.activeElement.dataset.method : null;
    part.method.replaceChildren(...methods.map((one) => createElement("option", { value: one.name }, one.label)));
    view.thumbs = methods.map((one) => {
      const canvas = createElement("canvas"),
        picture = createElement("img", { alt: "", hidden: "" });
      const small = createElement("div", { class: "vit-small" }, picture, canvas);
      canvas.style.aspectRatio = `${gw} / ${gh}`;
      const off = localise(one.off, lang);
      if (!one.map) small.append(createElement("span", {}, off ? t("off") : t("not_yet")));
      const button = createElement(
        "button",
        { "type": "button", "class": "vit-thumb", "data-method": one.name, "title": off || one.label },
        small,
        createElement(
          "span",
          { class: "vit-thumb-text" },
          createElement("span", { class: "vit-thumb-name" }, one.label),
        ),
      );
      button.addEventListener("click", () => choose({ method: one.name }, true));
      return { one, button, small, picture, canvas, map: new HeatMap(canvas) };
    });
    part.thumbs.replaceChildren(...view.thumbs.map((thumb) => thumb.button));
    if (focused) view.thumbs.find((thumb) => thumb.one.name === focused)?.button.focus();
  }

  function place() {
    const { picture, gh, gw } = view;
    placePicture(part.picture, part.stage, picture, gh, gw);
    for (const thumb of view.thumbs) placePicture(thumb.picture, thumb.small, picture, gh, gw);
    schedule();
  }

  // ---- what people do ---------------------------------------------------------------------------------------------
  function choose(changes, aloud = false) {
    Object.assign(chosen, changes);
    if (view) view.aloud = view.aloud || aloud;
    schedule();
  }

  function connect() {
    const over = (event) => (view ? cellAt(event, part.stage, view.gh, view.gw) : -1);
    part.stage.addEventListener("pointermove", (event) => {
      if (!chosen.pinned && over(event) >= 0) choose({ cell: over(event) });
    });
    part.stage.addEventListener("pointerleave", () => {
      if (!chosen.pinned) choose({ cell: -1 });
    });
    part.stage.addEventListener("click", (event) => {
      const cell = over(event);
      if (cell >= 0) choose({ cell, pinned: !chosen.pinned || cell !== chosen.cell }, true);
    });
    part.method.addEventListener("change", () => choose({ method: part.method.value }, true));
    bindColours(part.colours, t, choose);
    part.opacity.addEventListener("input", () => choose({ opacity: Number(part.opacity.value) }));
    bindCheckboxes(part, ["fade", "smooth"], choose);
    part.save.addEventListener("click", () => {
      if (shown()?.map)
        exportExplanation({ view, one: shown(), chosen, part, name: viewer, t, lang, colours: colourMap(shown()) });
    });
    root.addEventListener("keydown", onKey);
  }

  function onKey(event) {
    if (!view || isForeignKey(event)) return;
    const { key } = event,
      { methods, gh, gw } = view,
      at = methods.indexOf(shown());
    const step = event.target === part.stage ? arrowStep(key, Math.max(chosen.cell, 0), gh, gw) : null;
    if (step !== null) choose({ cell: chosen.cell < 0 ? 0 : step, pinned: true }, true);
    else if (key === "," || key === ".")
      choose({ method: methods[nearestIndex(at + (key === "." ? 1 : -1), methods.length)].name }, true);
    else if (key === "Escape") choose({ pinned: false, cell: -1 }, true);
    else return;
    event.preventDefault();
  }

  // ---- one drawing ------------------------------------------------------------------------------------------------
  const shown = () => view?.methods.find((one) => one.name === chosen.method) ?? view?.proposed;
  const colourMap = (one) => (one.signed ? "diverging" : chosen.colours);

  function draw() {
    if (!view) return;
    const one = shown(),
      { gh, gw, picture } = view,
      off = localise(one.off, lang);
    const table = (method) => (chosen.fade && picture ? fadedTable : colourTable)(colourMap(method));
    root.dataset.method = one.name;
    part.method.value = one.name;
    for (const thumb of view.thumbs) {
      thumb.button.setAttribute("aria-pressed", thumb.one === one);
      thumb.canvas.style.opacity = picture ? chosen.opacity : 1;
      if (thumb.one.map)
        thumb.map.draw(thumb.one.map, 0, gh, gw, low(thumb.one), thumb.one.limit, table(thumb.one), chosen.smooth);
    }
    part.heat.hidden = part.legend.hidden = !one.map;
    part.save.disabled = !one.map;
    part.message.hidden = Boolean(one.map);
    setText(part.message, one.map ? "" : off || t("press"));
    part.heat.style.opacity = picture ? chosen.opacity : 1;
    if (one.map) {
      heat.draw(one.map, 0, gh, gw, low(one), one.limit, table(one), chosen.smooth);
      showLegend(part, colourTable(colourMap(one)), [amount(low(one)), amount(one.limit)]);
      setText(part.zero, one.signed ? "0" : "");
      setText(part["scale-note"], t(one.limit === 0 ? "scale_flat" : one.signed ? "scale_signed" : "scale_unsigned"));
    }
    part["colours-field"].hidden = !one.map || one.signed;
    drawCell(one);
    setText(part.about, t(`about_${one.name}`));
    setText(part.read, t(`read_${one.name}`));
    const fact = localise(one.fact, lang);
    part.fact.hidden = !fact;
    setText(part.fact, fact);
    setText(part.paper, t(`paper_${one.name}`));
    part.paper.href = t(`link_${one.name}`);
    part.paper.hidden = !t(`link_${one.name}`);
    announce(one.name);
  }

  function drawCell(one) {
    const { gh, gw } = view,
      cell = chosen.cell,
      at = cell >= 0 ? cell : one.strongest;
    placeCell(part.mark, cell, gh, gw);
    part.at.hidden = !one.map || one.limit === 0;
    root.toggleAttribute("data-pinned", chosen.pinned);
    if (!one.map) return setText(part.reading, "");
    const share = (one.map[at] - low(one)) / (one.limit - low(one) || 1);
    part.at.style.transform = `translateX(${100 * Math.min(Math.max(share, 0), 1)}%)`;
    const reading = t(cell >= 0 ? "patch" : "strongest", { ...placeOf(at, gw), value: amount(one.map[at]) });
    setText(part.reading, reading);
    if (view.aloud) setText(part.spoken, `${one.label}. ${reading}`);
    view.aloud = false;
  }

  /** Tell the page which method is in sight, and show its choices alone. */
  function announce(method) {
    if (said === `${sequence} ${method}`) return;
    said = `${sequence} ${method}`;
    // a rule, since Gradio may yet put the groups on the page, or put them there again
    others.textContent = `[id^="${groups}"]:not([id="${groups}${method}"]) { display: none !important; }`;
    dispatch("vit:state", { viewer, method });
  }

  watch("value", load);
  load(); // last, when everything above has its value
}
