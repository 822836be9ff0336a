// Prediction and maps before and after.
import { colourTable } from "../../viewer/kit/scripts/colours.js";
import { dispatch } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, findParts, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { formatNumber } from "../../viewer/kit/scripts/numbers.js";
import { createSheet, savePng } from "../../viewer/kit/scripts/saving.js";
import { localise } from "../../viewer/kit/scripts/words.js";

const SIDES = ["before", "after", "difference"];

function extent(rows) {
  const values = rows.flat().filter((value) => value !== null);
  return [Math.min(...values, Infinity), Math.max(...values, -Infinity)];
}

/** Pearson correlation of before and after (by way of the difference), and the share of the map's mass that moved. */
function agreement({ before, difference }) {
  const a = before.flat().map((value) => value ?? 0),
    d = difference.flat().map((value) => value ?? 0),
    b = a.map((value, i) => value + d[i]);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length,
    ma = mean(a),
    mb = mean(b);
  let ab = 0,
    aa = 0,
    bb = 0,
    moved = 0,
    mass = 0;
  a.forEach((value, i) => {
    ab += (value - ma) * (b[i] - mb);
    aa += (value - ma) ** 2;
    bb += (b[i] - mb) ** 2;
    moved += Math.abs(d[i]);
    mass += Math.abs(value) + Math.abs(b[i]);
  });
  return [aa && bb ? (ab / Math.sqrt(aa * bb)).toFixed(3) : "–", mass ? formatNumber(moved / mass, "percent") : "–"];
}

function drawMap({ canvas }, rows, low, high, table) {
  const gh = rows.length,
    gw = rows[0].length;
  Object.assign(canvas, { width: gw, height: gh });
  const context = canvas.getContext("2d"),
    image = context.createImageData(gw, gh),
    pixels = new Uint32Array(image.data.buffer);
  rows.flat().forEach((value, i) => {
    if (value !== null)
      pixels[i] = table[Math.min(Math.max(Math.round((255 * (value - low)) / (high - low || 1)), 0), 255)];
    else pixels[i] = 0xff1c1614; // dropped
  });
  context.putImageData(image, 0, 0);
}

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, watch, lang, t }) {
  const part = findParts(root);
  let view = null,
    chosen = "rollout",
    layer = -1; // `layer`: of the attention
  const figures = {};

  for (const side of SIDES) {
    const image = createElement("img", { alt: "" }),
      canvas = createElement("canvas"),
      caption = createElement("figcaption");
    const frame = createElement("div", { class: "lab-map", role: "img" }, image, canvas);
    frame.setAttribute("aria-label", t(side));
    figures[side] = {
      image,
      canvas,
      caption,
      frame,
      node: createElement("figure", { "data-side": side }, frame, caption),
    };
  }
  part.maps.append(...SIDES.map((side) => figures[side].node));
  for (const button of root.querySelectorAll("[data-map]"))
    button.addEventListener("click", () => {
      chosen = button.dataset.map;
      draw();
    });
  part.layer.addEventListener("input", () => toLayer(false));
  part.layer.addEventListener("change", () => toLayer(true));
  part.save.addEventListener("click", () => view && exportPng());
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
    // Of long sequences there is one at a time.
    if (!value.attention[layer]) layer = value.attention.findLastIndex(Boolean);
    part.layer.max = last;
    part.layer.value = layer;
    const [grid, edited] = value.grids;
    dispatch("vit:lab", {
      from: "outcome",
      outcome: {
        of: value.of,
        picture: value.pictures[1].url,
        grid: edited,
        dropped: value.dropped,
        carried: value.carried,
      },
    });
    part.top.hidden = !value.top[0].length;
    ["before", "after"].forEach((side, index) => {
      const items = value.top[index].map(([label, probability]) => {
        const bar = createElement("span", { class: "bar" });
        bar.style.width = `${(100 * probability).toFixed(1)}%`;
        return createElement(
          "li",
          { title: label },
          createElement("span", { class: "label" }, label),
          createElement("span", { class: "vit-number" }, formatNumber(probability, "percent")),
          bar,
        );
      });
      part[`top-${side}`].replaceChildren(...items);
    });
    setText(part.watched, value.watched ? watchedText(value.watched) : value.note);
    figures.before.image.src = figures.difference.image.src = value.pictures[0].url;
    figures.after.image.src = value.pictures[1].url;
    for (const [side, shape] of [
      ["before", grid],
      ["after", edited],
      ["difference", grid],
    ]) {
      figures[side].frame.style.aspectRatio = `${shape[1]} / ${shape[0]}`;
      figures[side].shape = shape;
    }
    draw();
  }

  /** Another layer's attention: at once where it is here, else Python is asked once the slider is let go. */
  function toLayer(letGo) {
    layer = Number(part.layer.value);
    const ask = letGo && Boolean(view) && !view.attention[layer];
    dispatch("vit:lab", { from: "outcome", layer, ask });
    draw();
  }

  function watchedText({ label, logits, probabilities }) {
    const percent = probabilities.map((one) => formatNumber(one, "percent"));
    return t("watched", {
      label,
      before: percent[0],
      after: percent[1],
      logit: logits[0].toFixed(2),
      now: logits[1].toFixed(2),
    });
  }

  function draw() {
    if (!view) return;
    const maps = chosen === "attention" ? view.attention[layer] : view.maps[chosen],
      cosine = chosen === "positions";
    part["layer-row"].hidden = chosen !== "attention" || view.attention.length < 2;
    setText(part["layer-number"], `${layer} / ${view.attention.length - 1}`);
    root.toggleAttribute("data-pending", !maps);
    if (!maps) return; // on its way; what is there stays in sight, dimmed
    const [low, high] = extent([...maps.before, ...maps.after]),
      known = Number.isFinite(low);
    const edge = Math.max(...extent(maps.difference).map(Math.abs), 1e-9);
    for (const button of root.querySelectorAll("[data-map]"))
      button.setAttribute("aria-pressed", button.dataset.map === chosen);
    for (const side of SIDES) {
      const signed = side === "difference" || cosine,
        most = side === "difference" ? edge : cosine ? 1 : high;
      drawMap(
        figures[side],
        maps[side],
        signed ? -most : Math.min(low, 0),
        most,
        colourTable(signed ? "diverging" : "viridis"),
      );
      const values = extent(maps[side]),
        range = known ? values.map((value) => value.toFixed(2)) : ["–", "–"];
      setText(figures[side].caption, t("caption", { side: t(side), low: range[0], high: range[1] }));
    }
    setText(part.how, known ? t(`how_${chosen}`, { layer }) : t("how_nothing"));
    const [same, moved] = agreement(maps);
    setText(part.numbers, known ? t("numbers", { correlation: same, moved }) : "");
  }

  /** Pictures, maps and predictions as one picture. */
  function exportPng() {
    const size = 420,
      gap = 24,
      sheet = createSheet(3 * size + 4 * gap, size + 330),
      { canvas, context } = sheet;
    const write = (text, x, y, font = 16, most = size) => sheet.write(text, x, y, font, most);
    const name = chosen === "attention" ? `${t("map_attention")}, ${t("layer")} ${layer}` : t(`map_${chosen}`);
    write(`${name} · ${view.caption}`, gap, 36, 22, 3 * size);
    SIDES.forEach((side, index) => {
      const { image, canvas: map, caption, shape } = figures[side],
        x = gap + index * (size + gap),
        scale = size / Math.max(...shape);
      const [wide, tall] = [shape[1] * scale, shape[0] * scale];
      context.imageSmoothingEnabled = false;
      if (image.naturalWidth) context.drawImage(image, x, 56, wide, tall);
      context.globalAlpha = 0.82;
      context.drawImage(map, x, 56, wide, tall);
      context.globalAlpha = 1;
      write(caption.textContent, x, 56 + size + 22, 15);
    });
    view.top.forEach((top, index) =>
      top.forEach(([label, p], row) => {
        write(`${formatNumber(p, "percent")}  ${label}`, gap + index * (size + gap), 56 + size + 66 + 24 * row, 16);
      }),
    );
    write(part.watched.textContent, gap, 56 + size + 66 + 24 * 5 + 20, 16, 3 * size);
    const { caption, grids, of, top, watched, dropped, carried, note } = view;
    savePng(canvas, `laboratory-${chosen}.png`, view.manifest, {
      viewer: viewerName(element, props),
      caption: localise(caption, lang),
      map: chosen,
      layer: chosen === "attention" ? layer : null,
      grids,
      edits: of,
      top,
      watched,
      dropped,
      carried,
      note,
    });
  }
}
