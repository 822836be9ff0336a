// Save PNG: the three maps as they are on the screen, their scales, and the numbers under them.
import { createSheet, drawOver, savePng } from "../../viewer/kit/scripts/saving.js";
import { localise } from "../../viewer/kit/scripts/words.js";

/** @param {object} shown `view`, its three `figures`, `chosen`, `part`, `name` of the viewer, `t` and `lang` */
export function exportComparison({ view, figures, chosen, part, name, t, lang }) {
  const size = 460,
    gap = 24,
    [gh, gw] = view.grid;
  const ratios = figures.map((one) => one.stage.clientHeight / one.stage.clientWidth || gh / gw);
  const height = Math.round(size * Math.max(...ratios));
  const sheet = createSheet(3 * (size + gap) + gap, height + 190 + 24 * Object.keys(view.facts).length),
    { canvas, context } = sheet;
  const write = (text, left, top, widest = 3 * size) => sheet.write(text, left, top, 15, widest);
  figures.forEach((one, index) => {
    const left = gap + index * (size + gap),
      top = 3 * gap,
      tall = Math.round(size * ratios[index]);
    const { picture } = view.sides[index % 2];
    write(one.caption.textContent, left, 2.4 * gap, size);
    drawOver(context, { picture, map: one.map.canvas, smooth: chosen.smooth, opacity: chosen.opacity }, [
      left,
      top,
      size,
      tall,
    ]);
    context.imageSmoothingEnabled = false;
    context.drawImage(one.bar, left, top + height + 10, size, 12);
    write(one.low.textContent, left, top + height + 40);
    context.textAlign = "right";
    write(one.high.textContent, left + size, top + height + 40);
    context.textAlign = "left";
    if (index < 2 && !one.own.hidden) {
      const said = one.panel.hidden ? "" : (one.panel.selectedOptions[0]?.textContent ?? "");
      write(
        [one.number.hidden ? "" : one.number.textContent, said].filter(Boolean).join(" · "),
        left,
        top + height + 62,
      );
    }
  });
  let line = 3 * gap + height + 92;
  write([part.reading.textContent, part.rule.textContent].join("  "), gap, line);
  for (const [key, text] of Object.entries(view.facts)) write(`${t(key)}: ${text}`, gap, (line += 24));
  const { cell, prefix, smooth, opacity } = chosen;
  const side = ({ value }, index) => ({
    name: localise(value.name, lang),
    caption: localise(value.caption, lang),
    grid: value.grid,
    layer: chosen.layer[index],
    panel: chosen.panel[index],
  });
  savePng(canvas, `${name}.png`, view.value.manifest, {
    viewer: name,
    sides: view.sides.map(side),
    patch: cell,
    special_token: cell < 0 ? prefix : null, // of A
    reading: part.reading.textContent,
    facts: view.facts,
    smooth,
    opacity,
  });
}
