// Save PNG: the large map over its picture, all the others beside it, and under it the scale and what it is.
import { createSheet, drawOver, savePng } from "../../viewer/kit/scripts/saving.js";
import { localise } from "../../viewer/kit/scripts/words.js";

/**
 * @param {object} shown `view`, the map `one` in sight, `chosen`, `part`, `name` of the viewer, `t`, `lang`, and its
 *   `colours`
 */
export function exportExplanation({ view, one, chosen, part, name, t, lang, colours }) {
  const { gh, gw, value, picture } = view;
  const size = 960,
    gap = 24,
    across = 3,
    ratio = picture ? picture.naturalHeight / picture.naturalWidth : gh / gw;
  const height = Math.round(size * ratio),
    others = view.thumbs.filter((thumb) => thumb.one.map);
  const down = Math.ceil(others.length / across),
    cell = Math.min(Math.round((height - down * 28) / down), 300),
    wide = Math.round(cell / ratio);
  const { canvas, context, write } = createSheet(size + across * (wide + gap) + 2 * gap, height + 200);
  context.translate(gap, gap);
  const { smooth, opacity } = chosen,
    paint = (map, ...rectangle) => drawOver(context, { picture, map, smooth, opacity }, rectangle);
  paint(part.heat, 0, 0, size, height);
  others.forEach((thumb, index) => {
    const left = size + gap + (index % across) * (wide + gap),
      top = Math.floor(index / across) * (cell + 28);
    paint(thumb.canvas, left, top, wide, cell);
    write(thumb.one.label, left, top + cell + 17, 14, wide);
  });
  const bottom = height + gap;
  context.imageSmoothingEnabled = false;
  context.drawImage(part.bar, 0, bottom, size, 14);
  write(part.low.textContent, 0, bottom + 34, 14);
  context.textAlign = "center";
  write(part.zero.textContent, size / 2, bottom + 34, 14);
  context.textAlign = "right";
  write(part.high.textContent, size, bottom + 34, 14);
  context.textAlign = "left";
  const room = canvas.width - 2 * gap;
  write(`${one.label} · ${part.title.textContent}`, 0, bottom + 70, 20, room);
  write(
    [localise(value.caption, lang), part.reading.textContent].filter(Boolean).join(" · "),
    0,
    bottom + 98,
    16,
    room,
  );
  write(part["scale-note"].textContent, 0, bottom + 124, 16, room);
  write(t(`paper_${one.name}`), 0, bottom + 150, 16, room);
  savePng(canvas, `${name}-${one.name}.png`, value.manifest, {
    viewer: name,
    title: part.title.textContent,
    caption: localise(value.caption, lang),
    reading: part.reading.textContent,
    method: one.name,
    signed: one.signed,
    limit: one.limit,
    grid: value.grid,
    methods: others.map((thumb) => thumb.one.name),
    colours,
    opacity: picture ? chosen.opacity : 1,
    fade: Boolean(picture && chosen.fade),
    smooth: chosen.smooth,
  });
}
