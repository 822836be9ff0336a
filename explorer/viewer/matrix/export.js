// Save PNG: what is on the screen - picture, map, markers, all panels - with the scale and a caption under it.
function exportPng() {
  const { gh, gw, prefix, value, thumbs, drawn } = view;
  const size = 960, gap = 24, ratio = view.picture ? view.picture.naturalHeight / view.picture.naturalWidth : gh / gw;
  const height = Math.round(size * ratio), columns = thumbs.length > 1 ? Math.ceil(thumbs.length / 4) : 0;
  const cell = Math.round((height - 3 * gap) / 4), wide = Math.round(cell * (gw / gh));
  const side = columns ? columns * (wide + gap) : 0;
  const canvas = vit.element("canvas", { width: size + side + 2 * gap, height: height + 200 });
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(gap, gap);

  context.imageSmoothingEnabled = true;
  if (view.picture) context.drawImage(view.picture, 0, 0, size, height);
  context.imageSmoothingEnabled = chosen.smooth;
  context.globalAlpha = view.picture ? chosen.opacity : 1;
  context.drawImage(part.heat, 0, 0, size, height);
  context.globalAlpha = 1;
  if (chosen.query >= prefix) {
    const index = chosen.query - prefix, width = size / gw, tall = height / gh;
    for (const [colour, line] of [["#000000", 7], ["#ffffff", 3]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect((index % gw) * width, Math.floor(index / gw) * tall, width, tall);
    }
  }
  context.imageSmoothingEnabled = false;
  context.fillStyle = "#1f2430";
  context.font = "15px sans-serif";
  if (columns) {
    thumbs.forEach((thumb, index) => {
      const left = size + gap + (index % columns) * (wide + gap), top = Math.floor(index / columns) * (cell + gap);
      context.drawImage(thumb.map.canvas, left, top, wide, cell);
      context.fillText(`${panelName(thumb.panel)}  ${thumb.top.textContent}`, left, top + cell + 17, wide);
    });
  }
  context.drawImage(part.bar, 0, height + gap, size, 14);
  context.fillText(part.low.textContent, 0, height + gap + 34);
  context.textAlign = "right";
  context.fillText(part.high.textContent, size, height + gap + 34);
  context.textAlign = "left";
  const where = [
    vit.localise(value.caption, lang),
    value.layers > 1 ? `${label("layer")} ${chosen.layer}` : "",
    thumbs.length > 1 ? longPanelName(chosen.panel) : "",
    value.direction ? t(chosen.direction) : "",
  ];
  context.font = "20px sans-serif";
  context.fillText(part.reading.textContent, 0, height + gap + 70, size + side);
  context.font = "16px sans-serif";
  context.fillText(where.filter(Boolean).join(" · "), 0, height + gap + 98, size + side);
  context.fillText(part["scale-note"].textContent, 0, height + gap + 124, size + side);
  const token = chosen.query < prefix ? value.prefix[chosen.query] : `patch${chosen.query - prefix}`;
  vit.savePng(canvas, `${name}-layer${chosen.layer}-${chosen.panel}-${token.replace(/\W/g, "")}.png`, value.manifest, {
    viewer: name, title: part.title.textContent, caption: vit.localise(value.caption, lang), reading: part.reading.textContent,
    layer: chosen.layer, panel: chosen.panel, panel_name: longPanelName(chosen.panel), grid: value.grid,
    query: chosen.query, query_name: tokenName(chosen.query), direction: value.direction ? chosen.direction : null,
    scale: chosen.scale, low: drawn.low, high: drawn.high, colours: colourMap(chosen.panel),
    opacity: view.picture ? chosen.opacity : 1, fade: Boolean(view.picture && chosen.fade), smooth: chosen.smooth,
  });
}
