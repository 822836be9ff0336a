// Save PNG: the three maps as they are on the screen, their scales, and the numbers under them.
function exportComparison() {
  const size = 460, gap = 24, [gh, gw] = view.grid;
  const ratios = figures.map((one) => one.stage.clientHeight / one.stage.clientWidth || gh / gw);
  const height = Math.round(size * Math.max(...ratios));
  const canvas = vit.element("canvas", { width: 3 * (size + gap) + gap, height: height + 190 + 24 * Object.keys(view.facts).length });
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text, left, top, pixels = 15) => {
    context.fillStyle = "#1f2430";
    context.font = `${pixels}px sans-serif`;
    context.fillText(text, left, top, 3 * size);
  };
  figures.forEach((one, index) => {
    const left = gap + index * (size + gap), top = 3 * gap, tall = Math.round(size * ratios[index]);
    const { picture } = view.sides[index % 2];
    context.font = "15px sans-serif";
    context.fillStyle = "#1f2430";
    context.fillText(one.caption.textContent, left, 2.4 * gap, size);
    context.imageSmoothingEnabled = true;
    if (picture) context.drawImage(picture, left, top, size, tall);
    context.imageSmoothingEnabled = chosen.smooth;
    context.globalAlpha = picture ? chosen.opacity : 1;
    context.drawImage(one.map.canvas, left, top, size, tall);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = false;
    context.drawImage(one.bar, left, top + height + 10, size, 12);
    write(one.low.textContent, left, top + height + 40);
    context.textAlign = "right";
    write(one.high.textContent, left + size, top + height + 40);
    context.textAlign = "left";
    if (index < 2 && !one.own.hidden) {
      const said = one.panel.hidden ? "" : one.panel.selectedOptions[0]?.textContent ?? "";
      write([one.number.hidden ? "" : one.number.textContent, said].filter(Boolean).join(" · "), left, top + height + 62);
    }
  });
  let line = 3 * gap + height + 92;
  write([part.reading.textContent, part.rule.textContent].join("  "), gap, line);
  for (const [key, text] of Object.entries(view.facts)) write(`${t(key)}: ${text}`, gap, (line += 24));
  const { cell, prefix, smooth, opacity } = chosen;
  const side = ({ value }, index) => ({
    name: vit.localise(value.name, lang), caption: vit.localise(value.caption, lang), grid: value.grid,
    layer: chosen.layer[index], panel: chosen.panel[index],
  });
  vit.savePng(canvas, `${name}.png`, view.value.manifest, {
    viewer: name, sides: view.sides.map(side), patch: cell, special_token: cell < 0 ? prefix : null, // of A
    reading: part.reading.textContent, facts: view.facts, smooth, opacity,
  });
}
