// Save PNG: what is on the screen - picture, map, markers, all panels - with the scale and a caption under it.
import { createSheet, drawOver, frame, savePng } from "../kit/scripts/saving.js";
import { localise } from "../kit/scripts/words.js";

/**
 * Offer what one viewer shows.
 * @param {object} shown `view`, `chosen`, `part`, `name` of the viewer, `t`, `lang`, and how it names and colours
 * things
 */
export function exportPng({
  view,
  chosen,
  part,
  name,
  t,
  lang,
  label,
  panelName,
  longPanelName,
  tokenName,
  colourMap,
}) {
  const { gh, gw, prefix, value, thumbs, drawn } = view;
  const size = 960,
    gap = 24,
    ratio = view.picture ? view.picture.naturalHeight / view.picture.naturalWidth : gh / gw;
  const height = Math.round(size * ratio),
    columns = thumbs.length > 1 ? Math.ceil(thumbs.length / 4) : 0;
  const cell = Math.round((height - 3 * gap) / 4),
    wide = Math.round(cell * (gw / gh));
  const side = columns ? columns * (wide + gap) : 0;
  const { canvas, context, write } = createSheet(size + side + 2 * gap, height + 200);
  context.translate(gap, gap);
  drawOver(context, { picture: view.picture, map: part.heat, smooth: chosen.smooth, opacity: chosen.opacity }, [
    0,
    0,
    size,
    height,
  ]);
  if (chosen.query >= prefix) {
    const index = chosen.query - prefix,
      width = size / gw,
      tall = height / gh;
    frame(context, [(index % gw) * width, Math.floor(index / gw) * tall, width, tall]);
  }
  context.imageSmoothingEnabled = false;
  if (columns) {
    thumbs.forEach((thumb, index) => {
      const left = size + gap + (index % columns) * (wide + gap),
        top = Math.floor(index / columns) * (cell + gap);
      context.drawImage(thumb.map.canvas, left, top, wide, cell);
      write(`${panelName(thumb.panel)}  ${thumb.top.textContent}`, left, top + cell + 17, 15, wide);
    });
  }
  context.drawImage(part.bar, 0, height + gap, size, 14);
  write(part.low.textContent, 0, height + gap + 34, 15);
  context.textAlign = "right";
  write(part.high.textContent, size, height + gap + 34, 15);
  context.textAlign = "left";
  const where = [
    localise(value.caption, lang),
    value.layers > 1 ? `${label("layer")} ${chosen.layer}` : "",
    thumbs.length > 1 ? longPanelName(chosen.panel) : "",
    value.direction ? t(chosen.direction) : "",
  ];
  write(part.reading.textContent, 0, height + gap + 70, 20, size + side);
  write(where.filter(Boolean).join(" · "), 0, height + gap + 98, 16, size + side);
  write(part["scale-note"].textContent, 0, height + gap + 124, 16, size + side);
  const token = chosen.query < prefix ? value.prefix[chosen.query] : `patch${chosen.query - prefix}`;
  savePng(canvas, `${name}-layer${chosen.layer}-${chosen.panel}-${token.replace(/\W/g, "")}.png`, value.manifest, {
    viewer: name,
    title: part.title.textContent,
    caption: localise(value.caption, lang),
    reading: part.reading.textContent,
    layer: chosen.layer,
    panel: chosen.panel,
    panel_name: longPanelName(chosen.panel),
    grid: value.grid,
    query: chosen.query,
    query_name: tokenName(chosen.query),
    direction: value.direction ? chosen.direction : null,
    scale: chosen.scale,
    low: drawn.low,
    high: drawn.high,
    colours: colourMap(chosen.panel),
    opacity: view.picture ? chosen.opacity : 1,
    fade: Boolean(view.picture && chosen.fade),
    smooth: chosen.smooth,
  });
}
