// Save PNG: the map in sight over the picture, the other maps of this state, and its top classes.
import { formatNumber } from "../../viewer/kit/scripts/numbers.js";
import { createSheet, frame, savePng } from "../../viewer/kit/scripts/saving.js";
import { localise } from "../../viewer/kit/scripts/words.js";
import { MAPS } from "./maps.js";

/** @param {object} shown `view`, `chosen`, `part`, `viewer`, `t`, `lang`, and names of states and classes */
export function exportPng({ view, chosen, part, viewer, t, lang, stateName, labelOf }) {
  const size = 840,
    gap = 24,
    small = 190,
    { gh, gw, value, prefix } = view;
  const ratio = view.picture ? view.picture.naturalHeight / view.picture.naturalWidth : gh / gw;
  const height = Math.round(size * ratio),
    side = 2 * (small + gap),
    thumb = Math.round((small * gh) / gw);
  const sheet = createSheet(size + side + 2 * gap, Math.max(height, 4 * (thumb + 40)) + 250),
    { canvas, context } = sheet;
  context.translate(gap, gap);
  const write = (text, x, y, font = 16, most = size + side) => sheet.write(text, x, y, font, most);
  if (view.picture) context.drawImage(view.picture, 0, 0, size, height);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = chosen.opacity;
  context.drawImage(part.heat, 0, 0, size, height);
  context.globalAlpha = 1;
  context.drawImage(part.marks, 0, 0, size, height);
  if (chosen.query >= prefix) {
    const index = chosen.query - prefix,
      width = size / gw,
      tall = height / gh;
    frame(context, [(index % gw) * width, Math.floor(index / gw) * tall, width, tall]);
  }
  MAPS.filter((map) => view.thumbs[map]).forEach((map, index) => {
    const x = size + gap + (index % 2) * (small + gap),
      y = Math.floor(index / 2) * (thumb + 40);
    context.drawImage(view.thumbs[map].canvas, x, y, small, thumb);
    write(t(`map_${map}`), x, y + thumb + 20, 15, small);
  });
  const y = canvas.height - 250 + gap;
  if (!part.legend.hidden) {
    context.drawImage(part.bar, 0, y, size, 12);
    write(part.low.textContent, 0, y + 32, 14);
    context.textAlign = "right";
    write(part.high.textContent, size, y + 32, 14);
    context.textAlign = "left";
  } else {
    let x = 0;
    for (const item of part.classes.children) {
      const swatch = item.querySelector("i").style.background,
        text = item.textContent;
      context.fillStyle = swatch;
      context.fillRect(x, y, 14, 14);
      write(text, x + 20, y + 13, 14);
      x += 34 + context.measureText(text).width;
      if (x > size) break;
    }
  }
  write(`${t(`map_${chosen.map}`)} · ${stateName(chosen.state)} · ${localise(value.caption, lang)}`, 0, y + 72, 22);
  write(part.facts.innerText.replace(/\n+/g, " · ").slice(0, 260), 0, y + 102, 15);
  if (value.lens) {
    const top = value.lens.top[chosen.state].map(([index, p]) => `${labelOf(index)} ${formatNumber(p, "percent")}`);
    write(top.join("   "), 0, y + 132, 15);
  }
  write(part.artefacts.textContent, 0, y + 162, 15);
  const { state, map, query, joint, without, smooth, opacity } = chosen;
  savePng(canvas, `inside-${map}-state${state}.png`, value.manifest, {
    viewer,
    caption: localise(value.caption, lang),
    map,
    state,
    state_name: stateName(state),
    query,
    joint,
    without,
    smooth,
    opacity,
    grid: value.grid,
  });
}
