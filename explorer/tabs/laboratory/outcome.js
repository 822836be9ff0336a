// Prediction and maps before and after. In scope: TEXT and base.js's `vit`; from Gradio: element, props, watch.
const root = element.querySelector("[data-part=root]");
const part = vit.parts(root);
const lang = vit.language(props.lang), t = vit.translator(TEXT, lang);
const SIDES = ["before", "after", "difference"];
let view = null, chosen = "rollout", layer = -1, figures = {}; // `layer`: of the attention

vit.fillText(root, t);
for (const side of SIDES) {
  const image = vit.element("img", { alt: "" }), canvas = vit.element("canvas"), caption = vit.element("figcaption");
  const frame = vit.element("div", { class: "lab-map", role: "img" }, image, canvas);
  frame.setAttribute("aria-label", t(side));
  figures[side] = { image, canvas, caption, frame, node: vit.element("figure", { "data-side": side }, frame, caption) };
}
part.maps.append(...SIDES.map((side) => figures[side].node));
for (const button of root.querySelectorAll("[data-map]")) button.addEventListener("click", () => { chosen = button.dataset.map; draw(); });
part.layer.addEventListener("input", () => toLayer(false));
part.layer.addEventListener("change", () => toLayer(true));
part.save.addEventListener("click", () => view && savePng());
watch("value", load);
load();

function load() {
  const value = props.value?.seq ? props.value : null;
  if (value && view && !value.new && value.scene !== view.scene) return; // of a picture that is no longer there
  root.dataset.seq = Number(root.dataset.seq) + 1;
  root.dataset.state = value ? "ready" : "empty";
  view = value;
  if (!value) return;
  const last = value.attention.length - 1;
  if (Number(part.layer.max) !== last || layer < 0) layer = last;
  if (!value.attention[layer]) layer = value.attention.findLastIndex(Boolean); // of long sequences there is one at a time
  part.layer.max = last;
  part.layer.value = layer;
  const [grid, edited] = value.grids;
  document.dispatchEvent(new CustomEvent("vit:lab", { detail: { from: "outcome", outcome: { of: value.of, picture: value.pictures[1].url, grid: edited, dropped: value.dropped, carried: value.carried } } }));
  part.top.hidden = !value.top[0].length;
  ["before", "after"].forEach((side, index) => {
    const items = value.top[index].map(([label, probability]) => {
      const bar = vit.element("span", { class: "bar" });
      bar.style.width = `${(100 * probability).toFixed(1)}%`;
      return vit.element("li", { title: label }, vit.element("span", { class: "label" }, label),
        vit.element("span", { class: "vit-number" }, vit.number(probability, "percent")), bar);
    });
    part[`top-${side}`].replaceChildren(...items);
  });
  vit.setText(part.watched, value.watched ? watchedText(value.watched) : value.note);
  figures.before.image.src = figures.difference.image.src = value.pictures[0].url;
  figures.after.image.src = value.pictures[1].url;
  for (const [side, shape] of [["before", grid], ["after", edited], ["difference", grid]]) {
    figures[side].frame.style.aspectRatio = `${shape[1]} / ${shape[0]}`;
    figures[side].shape = shape;
  }
  draw();
}

/** Another layer's attention: at once where it is here, else Python is asked once the slider is let go. */
function toLayer(letGo) {
  layer = Number(part.layer.value);
  const ask = letGo && Boolean(view) && !view.attention[layer];
  document.dispatchEvent(new CustomEvent("vit:lab", { detail: { from: "outcome", layer, ask } }));
  draw();
}

function watchedText({ label, logits, probabilities }) {
  const percent = probabilities.map((one) => vit.number(one, "percent"));
  return t("watched", { label, before: percent[0], after: percent[1], logit: logits[0].toFixed(2), now: logits[1].toFixed(2) });
}

function extent(rows) {
  const values = rows.flat().filter((value) => value !== null);
  return [Math.min(...values, Infinity), Math.max(...values, -Infinity)];
}

function draw() {
  if (!view) return;
  const maps = chosen === "attention" ? view.attention[layer] : view.maps[chosen], cosine = chosen === "positions";
  part["layer-row"].hidden = chosen !== "attention" || view.attention.length < 2;
  vit.setText(part["layer-number"], `${layer} / ${view.attention.length - 1}`);
  root.toggleAttribute("data-pending", !maps);
  if (!maps) return; // on its way; what is there stays in sight, dimmed
  const [low, high] = extent([...maps.before, ...maps.after]), known = Number.isFinite(low);
  const edge = Math.max(...extent(maps.difference).map(Math.abs), 1e-9);
  for (const button of root.querySelectorAll("[data-map]")) button.setAttribute("aria-pressed", button.dataset.map === chosen);
  for (const side of SIDES) {
    const signed = side === "difference" || cosine, most = side === "difference" ? edge : cosine ? 1 : high;
    drawMap(figures[side], maps[side], signed ? -most : Math.min(low, 0), most, vit.colours(signed ? "diverging" : "viridis"));
    const values = extent(maps[side]), range = known ? values.map((value) => value.toFixed(2)) : ["–", "–"];
    vit.setText(figures[side].caption, t("caption", { side: t(side), low: range[0], high: range[1] }));
  }
  vit.setText(part.how, known ? t(`how_${chosen}`, { layer }) : t("how_nothing"));
  const [same, moved] = agreement(maps);
  vit.setText(part.numbers, known ? t("numbers", { correlation: same, moved }) : "");
}

/** Pearson correlation of before and after (by way of the difference), and the share of the map's mass that moved. */
function agreement({ before, difference }) {
  const a = before.flat().map((value) => value ?? 0), d = difference.flat().map((value) => value ?? 0), b = a.map((value, i) => value + d[i]);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length, ma = mean(a), mb = mean(b);
  let ab = 0, aa = 0, bb = 0, moved = 0, mass = 0;
  a.forEach((value, i) => {
    ab += (value - ma) * (b[i] - mb);
    aa += (value - ma) ** 2;
    bb += (b[i] - mb) ** 2;
    moved += Math.abs(d[i]);
    mass += Math.abs(value) + Math.abs(b[i]);
  });
  return [aa && bb ? (ab / Math.sqrt(aa * bb)).toFixed(3) : "–", mass ? vit.number(moved / mass, "percent") : "–"];
}

function drawMap({ canvas }, rows, low, high, table) {
  const gh = rows.length, gw = rows[0].length;
  Object.assign(canvas, { width: gw, height: gh });
  const context = canvas.getContext("2d"), image = context.createImageData(gw, gh), pixels = new Uint32Array(image.data.buffer);
  rows.flat().forEach((value, i) => {
    if (value !== null) pixels[i] = table[Math.min(Math.max(Math.round((255 * (value - low)) / (high - low || 1)), 0), 255)];
    else pixels[i] = 0xff1c1614; // dropped
  });
  context.putImageData(image, 0, 0);
}

/** Pictures, maps and predictions as one picture. */
function savePng() {
  const size = 420, gap = 24, canvas = vit.element("canvas", { width: 3 * size + 4 * gap, height: size + 330 });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text, x, y, font = 16, most = size) => {
    context.fillStyle = "#1f2430";
    context.font = `${font}px sans-serif`;
    context.fillText(text, x, y, most);
  };
  const name = chosen === "attention" ? `${t("map_attention")}, ${t("layer")} ${layer}` : t(`map_${chosen}`);
  write(`${name} · ${view.caption}`, gap, 36, 22, 3 * size);
  SIDES.forEach((side, index) => {
    const { image, canvas: map, caption, shape } = figures[side], x = gap + index * (size + gap), scale = size / Math.max(...shape);
    const [wide, tall] = [shape[1] * scale, shape[0] * scale];
    context.imageSmoothingEnabled = false;
    if (image.naturalWidth) context.drawImage(image, x, 56, wide, tall);
    context.globalAlpha = 0.82;
    context.drawImage(map, x, 56, wide, tall);
    context.globalAlpha = 1;
    write(caption.textContent, x, 56 + size + 22, 15);
  });
  view.top.forEach((top, index) => top.forEach(([label, p], row) => {
    write(`${vit.number(p, "percent")}  ${label}`, gap + index * (size + gap), 56 + size + 66 + 24 * row, 16);
  }));
  write(part.watched.textContent, gap, 56 + size + 66 + 24 * 5 + 20, 16, 3 * size);
  const { caption, grids, of, top, watched, dropped, carried, note } = view;
  vit.savePng(canvas, `laboratory-${chosen}.png`, view.manifest, {
    viewer: vit.nameOf(element, props), caption: vit.localise(caption, lang), map: chosen,
    layer: chosen === "attention" ? layer : null, grids, edits: of, top, watched, dropped, carried, note,
  });
}
