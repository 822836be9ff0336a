// Maps of all methods, one of them large. Everything is here already: to choose another asks the server nothing.
const root = element.querySelector("[data-part=root]");
const part = vit.parts(root);
const lang = vit.language(props.lang), t = vit.translator(TEXT, lang);

// What the person chose; it outlives a change of value wherever it is still valid.
// A method of null is the one that the value proposes.
const chosen = { method: null, cell: -1, pinned: false, colours: "viridis", opacity: 0.85, fade: true, smooth: false };
let view = null; // {value, gh, gw, picture, methods: [{name, map, limit, strongest, ...}]} of the value now shown
let sequence = 0, said = "";
const heat = new vit.HeatMap(part.heat);
const schedule = vit.painter(draw), others = vit.element("style");

root.append(others);
vit.fillText(root, t);
connect();
watch("value", load);
load();

// ---- a new value ---------------------------------------------------------------------------------------------------
function load() {
  const value = props.value && props.value.methods ? props.value : null, mine = ++sequence, before = view;
  view = null;
  if (!value) return finish("empty");
  const [gh, gw] = value.grid, same = before && before.gh === gh && before.gw === gw;
  view = { value, gh, gw, picture: null, methods: value.methods.map(decoded) };
  if (!same) Object.assign(chosen, { cell: -1, pinned: false });
  if (!view.methods.some((one) => one.name === chosen.method)) chosen.method = null;
  const on = view.methods.filter((one) => one.map); // without a head, relevance is off
  view.proposed = on.find((one) => one.name === "relevance") ?? on[0] ?? view.methods[0];
  build();
  place();
  vit.loadPicture(value.picture, (picture) => { if (mine === sequence) { view.picture = picture; place(); } });
  finish("ready");
}

function finish(state) {
  root.dataset.state = state;
  root.dataset.seq = sequence;
  part.message.hidden = state !== "empty";
  if (state === "empty") vit.sayEmpty(part.message, t);
  else vit.setText(part.message, "");
  schedule();
}

/** One method's numbers: its map, the end of its scale, and its strongest patch. */
function decoded(method) {
  const name = method.name, label = t(`name_${name}`);
  if (!method.values) return { ...method, label, map: null };
  const map = new Float32Array(vit.fromBase64(method.values));
  const strongest = map.reduce((best, value, at) => (Math.abs(value) > Math.abs(map[best]) ? at : best), 0);
  return { ...method, label, map, strongest, limit: Math.abs(map[strongest]) };
}

/** The parts that depend on which methods there are. */
function build() {
  const { value, methods, gh, gw } = view;
  vit.setText(part.title, vit.localise(value.title, lang));
  const notice = vit.localise(value.notice, lang);
  part.notice.hidden = !notice;
  vit.setText(part.notice, notice);
  const focused = part.thumbs.contains(document.activeElement) ? document.activeElement.dataset.method : null;
  part.method.replaceChildren(...methods.map((one) => vit.element("option", { value: one.name }, one.label)));
  view.thumbs = methods.map((one) => {
    const canvas = vit.element("canvas"), picture = vit.element("img", { alt: "", hidden: "" });
    const small = vit.element("div", { class: "vit-small" }, picture, canvas);
    canvas.style.aspectRatio = `${gw} / ${gh}`;
    const off = vit.localise(one.off, lang);
    if (!one.map) small.append(vit.element("span", {}, off ? t("off") : t("not_yet")));
    const button = vit.element("button", { type: "button", class: "vit-thumb", "data-method": one.name, title: off || one.label }, small,
      vit.element("span", { class: "vit-thumb-text" }, vit.element("span", { class: "vit-thumb-name" }, one.label)));
    button.addEventListener("click", () => choose({ method: one.name }, true));
    return { one, button, small, picture, canvas, map: new vit.HeatMap(canvas) };
  });
  part.thumbs.replaceChildren(...view.thumbs.map((thumb) => thumb.button));
  if (focused) view.thumbs.find((thumb) => thumb.one.name === focused)?.button.focus();
}

function place() {
  const { picture, gh, gw } = view;
  vit.placePicture(part.picture, part.stage, picture, gh, gw);
  for (const thumb of view.thumbs) vit.placePicture(thumb.picture, thumb.small, picture, gh, gw);
  schedule();
}

// ---- what people do ------------------------------------------------------------------------------------------------
function choose(changes, aloud = false) {
  Object.assign(chosen, changes);
  if (view) view.aloud = view.aloud || aloud;
  schedule();
}

function connect() {
  const over = (event) => (view ? vit.cellAt(event, part.stage, view.gh, view.gw) : -1);
  part.stage.addEventListener("pointermove", (event) => { if (!chosen.pinned && over(event) >= 0) choose({ cell: over(event) }); });
  part.stage.addEventListener("pointerleave", () => { if (!chosen.pinned) choose({ cell: -1 }); });
  part.stage.addEventListener("click", (event) => {
    const cell = over(event);
    if (cell >= 0) choose({ cell, pinned: !chosen.pinned || cell !== chosen.cell }, true);
  });
  part.method.addEventListener("change", () => choose({ method: part.method.value }, true));
  part.colours.addEventListener("change", () => choose({ colours: part.colours.value }));
  part.opacity.addEventListener("input", () => choose({ opacity: Number(part.opacity.value) }));
  for (const box of ["fade", "smooth"]) part[box].addEventListener("change", () => choose({ [box]: part[box].checked }));
  part.save.addEventListener("click", () => { if (shown()?.map) exportExplanation(); });
  root.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (!view || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  const { key } = event, { methods, gh, gw } = view, at = methods.indexOf(shown());
  const near = (number, limit) => Math.min(Math.max(number, 0), limit - 1);
  const step = event.target === part.stage ? vit.arrowStep(key, Math.max(chosen.cell, 0), gh, gw) : null;
  if (step !== null) choose({ cell: chosen.cell < 0 ? 0 : step, pinned: true }, true);
  else if (key === "," || key === ".") choose({ method: methods[near(at + (key === "." ? 1 : -1), methods.length)].name }, true);
  else if (key === "Escape") choose({ pinned: false, cell: -1 }, true);
  else return;
  event.preventDefault();
}

// ---- one drawing ---------------------------------------------------------------------------------------------------
const shown = () => view?.methods.find((one) => one.name === chosen.method) ?? view?.proposed;
const colourMap = (one) => (one.signed ? "diverging" : chosen.colours);
const low = (one) => (one.signed ? -one.limit : 0);

function draw() {
  if (!view) return;
  const one = shown(), { gh, gw, picture } = view, off = vit.localise(one.off, lang);
  const table = (method) => (chosen.fade && picture ? vit.faded : vit.colours)(colourMap(method));
  root.dataset.method = one.name;
  part.method.value = one.name;
  for (const thumb of view.thumbs) {
    thumb.button.setAttribute("aria-pressed", thumb.one === one);
    thumb.canvas.style.opacity = picture ? chosen.opacity : 1;
    if (thumb.one.map) thumb.map.draw(thumb.one.map, 0, gh, gw, low(thumb.one), thumb.one.limit, table(thumb.one), chosen.smooth);
  }
  part.heat.hidden = part.legend.hidden = !one.map;
  part.save.disabled = !one.map;
  part.message.hidden = Boolean(one.map);
  vit.setText(part.message, one.map ? "" : off || t("press"));
  part.heat.style.opacity = picture ? chosen.opacity : 1;
  if (one.map) {
    heat.draw(one.map, 0, gh, gw, low(one), one.limit, table(one), chosen.smooth);
    vit.drawBar(part.bar, vit.colours(colourMap(one)));
    vit.setText(part.low, amount(low(one)));
    vit.setText(part.zero, one.signed ? "0" : "");
    vit.setText(part.high, amount(one.limit));
    vit.setText(part["scale-note"], t(one.limit === 0 ? "scale_flat" : one.signed ? "scale_signed" : "scale_unsigned"));
  }
  part["colours-field"].hidden = !one.map || one.signed;
  drawCell(one);
  vit.setText(part.about, t(`about_${one.name}`));
  vit.setText(part.read, t(`read_${one.name}`));
  const fact = vit.localise(one.fact, lang);
  part.fact.hidden = !fact;
  vit.setText(part.fact, fact);
  vit.setText(part.paper, t(`paper_${one.name}`));
  part.paper.href = t(`link_${one.name}`);
  part.paper.hidden = !t(`link_${one.name}`);
  announce(one.name);
}

function drawCell(one) {
  const { gh, gw } = view, cell = chosen.cell, at = cell >= 0 ? cell : one.strongest;
  vit.placeCell(part.mark, cell, gh, gw);
  part.at.hidden = !one.map || one.limit === 0;
  root.toggleAttribute("data-pinned", chosen.pinned);
  if (!one.map) return vit.setText(part.reading, "");
  const share = (one.map[at] - low(one)) / (one.limit - low(one) || 1);
  part.at.style.transform = `translateX(${100 * Math.min(Math.max(share, 0), 1)}%)`;
  const place = { index: at, row: Math.floor(at / gw), column: at % gw }; // from 0, as in every tab
  const reading = t(cell >= 0 ? "patch" : "strongest", { ...place, value: amount(one.map[at]) });
  vit.setText(part.reading, reading);
  if (view.aloud) vit.setText(part.spoken, `${one.label}. ${reading}`);
  view.aloud = false;
}

/** Three digits that count, whatever the unit's size. */
const amount = (value) => (value === 0 ? "0" : Math.abs(value) >= 0.001 && Math.abs(value) < 1000 ? value.toPrecision(3) : value.toExponential(2));

/** Tell the page which method is in sight, and show its choices alone. */
function announce(method) {
  if (said === `${sequence} ${method}`) return;
  said = `${sequence} ${method}`;
  // a rule, since Gradio may yet put the groups on the page, or put them there again
  others.textContent = `[id^="${GROUPS}"]:not([id="${GROUPS}${method}"]) { display: none !important; }`;
  document.dispatchEvent(new CustomEvent("vit:state", { detail: { viewer: VIEWER, method } }));
}
