// Save PNG: the large map over its picture, all the others beside it, and under it the scale and what it is.
function exportExplanation() {
  const { gh, gw, value, picture } = view, one = shown();
  const size = 960, gap = 24, across = 3, ratio = picture ? picture.naturalHeight / picture.naturalWidth : gh / gw;
  const height = Math.round(size * ratio), others = view.thumbs.filter((thumb) => thumb.one.map);
  const down = Math.ceil(others.length / across), cell = Math.min(Math.round((height - down * 28) / down), 300), wide = Math.round(cell / ratio);
  const canvas = vit.element("canvas", { width: size + across * (wide + gap) + 2 * gap, height: height + 200 });
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(gap, gap);
  const paint = (map, left, top, width, tall) => {
    context.imageSmoothingEnabled = true;
    if (picture) context.drawImage(picture, left, top, width, tall);
    context.imageSmoothingEnabled = chosen.smooth;
    context.globalAlpha = picture ? chosen.opacity : 1;
    context.drawImage(map, left, top, width, tall);
    context.globalAlpha = 1;
  };
  paint(part.heat, 0, 0, size, height);
  context.fillStyle = "#1f2430";
  context.font = "14px sans-serif";
  others.forEach((thumb, index) => {
    const left = size + gap + (index % across) * (wide + gap), top = Math.floor(index / across) * (cell + 28);
    paint(thumb.canvas, left, top, wide, cell);
    context.fillText(thumb.one.label, left, top + cell + 17, wide);
  });
  const bottom = height + gap;
  context.imageSmoothingEnabled = false;
  context.drawImage(part.bar, 0, bottom, size, 14);
  context.fillText(part.low.textContent, 0, bottom + 34);
  context.textAlign = "center";
  context.fillText(part.zero.textContent, size / 2, bottom + 34);
  context.textAlign = "right";
  context.fillText(part.high.textContent, size, bottom + 34);
  context.textAlign = "left";
  const room = canvas.width - 2 * gap;
  context.font = "20px sans-serif";
  context.fillText(`${one.label} · ${part.title.textContent}`, 0, bottom + 70, room);
  context.font = "16px sans-serif";
  context.fillText([vit.localise(value.caption, lang), part.reading.textContent].filter(Boolean).join(" · "), 0, bottom + 98, room);
  context.fillText(part["scale-note"].textContent, 0, bottom + 124, room);
  context.fillText(t(`paper_${one.name}`), 0, bottom + 150, room);
  vit.savePng(canvas, `${VIEWER}-${one.name}.png`, value.manifest, {
    viewer: VIEWER, title: part.title.textContent, caption: vit.localise(value.caption, lang), reading: part.reading.textContent,
    method: one.name, signed: one.signed, limit: one.limit, grid: value.grid, methods: others.map((thumb) => thumb.one.name),
    colours: colourMap(one), opacity: picture ? chosen.opacity : 1, fade: Boolean(picture && chosen.fade), smooth: chosen.smooth,
  });
}
