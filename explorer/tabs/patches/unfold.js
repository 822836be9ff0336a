// Unfold: a canvas on which the patches of a picture leave their grid and line up as the sequence of tokens.
// Usage: unfold.show(scene), then unfold.draw(t, token) with t from 0 (grid) to 1 (sequence).

const LARGEST_TILE = 44,
  SMALLEST_TILE = 5,
  NUMBERED_TILE = 26; // CSS pixels
// When the cutting and the lining up have ended, as fractions of the whole.
export const CUT = 0.2;
export const LINED = 0.86;

export class Unfold {
  constructor(frame) {
    this.frame = frame;
    this.canvas = frame.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
  }

  /** scene: {image, grid, patch: [ph, pw] in the image's pixels, prefix: [short names]}. */
  show(scene) {
    this.scene = scene;
    this.layout();
  }

  get count() {
    return this.scene.prefix.length + this.scene.grid[0] * this.scene.grid[1];
  }

  /** Tile size and lines of the sequence for the frame's width: the largest tiles that stay within a screen. */
  layout() {
    const width = this.frame.clientWidth,
      { grid, patch } = this.scene,
      aspect = patch[0] / patch[1];
    if (!width) return;
    const tallest = width < 560 ? 420 : 320;
    for (let tile = LARGEST_TILE; ; tile--) {
      const numbered = tile >= NUMBERED_TILE,
        gap = Math.max(1, Math.round(tile / 10)),
        gutter = numbered ? 0 : 36;
      const columns = Math.max(1, Math.floor((width - gutter + gap) / (tile + gap)));
      const line = Math.round(tile * aspect) + gap + (numbered ? 14 : 0),
        lines = Math.ceil(this.count / columns);
      if (lines * line > tallest && tile > SMALLEST_TILE) continue;
      Object.assign(this, { width, tile, gap, gutter, columns, line, numbered });
      this.high = Math.round(tile * aspect);
      this.height = Math.max(lines * line + 4, Math.min(tallest, 260));
      break;
    }
    this.cell = Math.min((this.height - 8) / (grid[0] * aspect), (width - 8) / grid[1]);
    this.dpr = Math.max(1, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(width * this.dpr);
    this.canvas.height = Math.round(this.height * this.dpr);
    this.canvas.style.height = `${this.height}px`;
  }

  /** Where token `index` is at time t: [x, y, width, height]. */
  place(index, t) {
    const { grid, prefix, patch } = this.scene,
      aspect = patch[0] / patch[1],
      patches = this.count - prefix.length;
    const column = index % this.columns,
      x1 = this.gutter + column * (this.tile + this.gap) + 2;
    const y1 = Math.floor(index / this.columns) * this.line + 2;
    const cell = index - prefix.length;
    if (cell < 0) return [x1, y1, this.tile, this.high];
    const begin = CUT + (LINED - CUT - 0.2) * (patches > 1 ? cell / (patches - 1) : 0);
    const flown = ease((t - begin) / 0.2),
      room = this.cell * (1 - 0.12 * ease(t / CUT)),
      inset = (this.cell - room) / 2;
    const x0 = (this.width - this.cell * grid[1]) / 2 + (cell % grid[1]) * this.cell + inset;
    const y0 =
      (this.height - this.cell * aspect * grid[0]) / 2 + (Math.floor(cell / grid[1]) * this.cell + inset) * aspect;
    const mix = (a, b) => a + (b - a) * flown;
    return [mix(x0, x1), mix(y0, y1), mix(room, this.tile), mix(room * aspect, this.high)];
  }

  draw(t, marked) {
    if (!this.scene || !this.width) return;
    const { context, scene, dpr } = this,
      { image, grid, patch, prefix } = scene;
    const style = getComputedStyle(this.frame),
      paper = style.getPropertyValue("--background-fill-primary").trim();
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = Math.min(this.tile, this.cell) * dpr < patch[1];
    const arrived = ease((t - LINED) / (1 - LINED)),
      total = this.count;
    for (let index = prefix.length; index < total; index++) {
      const cell = index - prefix.length,
        [x, y, w, h] = this.place(index, t);
      const sx = (cell % grid[1]) * patch[1],
        sy = Math.floor(cell / grid[1]) * patch[0];
      context.drawImage(image, sx, sy, patch[1], patch[0], x, y, w, h);
    }
    context.globalAlpha = arrived;
    context.textAlign = "center";
    context.textBaseline = "middle";
    prefix.forEach((name, index) => {
      const [x, y, w, h] = this.place(index, t);
      context.fillStyle = style.color;
      context.beginPath();
      context.roundRect(x, y, w, h, Math.min(5, w / 5));
      context.fill();
      if (w < 20) return;
      context.fillStyle = paper;
      context.font = `600 ${Math.min(12, w * 0.32)}px ${style.fontFamily}`;
      context.fillText(name, x + w / 2, y + h / 2 + 0.5, w - 2);
    });
    context.fillStyle = style.color;
    context.font = `10px ${style.fontFamily}`;
    if (!this.numbered) context.textAlign = "right";
    const every = this.numbered ? 1 : this.columns * Math.ceil(12 / this.line); // lines whose first number is written
    for (let index = 0; arrived > 0 && index < total; index += every) {
      const [x, y, w, h] = this.place(index, t);
      context.globalAlpha = arrived * (index === marked ? 1 : 0.6);
      context.fillText(String(index), this.numbered ? x + w / 2 : x - 6, this.numbered ? y + h + 7 : y + h / 2);
    }
    context.globalAlpha = 1;
    if (marked < 0 || (marked < prefix.length && arrived < 0.5)) return;
    const [x, y, w, h] = this.place(marked, t);
    for (const [thick, colour] of [
      [6, "#000"],
      [3, "#fff"],
    ]) {
      context.lineWidth = thick;
      context.strokeStyle = colour;
      context.strokeRect(x, y, w, h);
    }
  }

  /** The token under a pointer event at time t, or -1. */
  at(event, t) {
    const area = this.canvas.getBoundingClientRect(),
      px = event.clientX - area.left,
      py = event.clientY - area.top;
    const reach = this.gap / 2;
    for (let index = t > LINED ? 0 : this.scene.prefix.length; index < this.count; index++) {
      const [x, y, w, h] = this.place(index, t);
      if (px >= x - reach && px <= x + w + reach && py >= y - reach && py <= y + h + reach) return index;
    }
    return -1;
  }
}

/** 0 to 1, slow at both ends; outside it holds. */
export function ease(x) {
  const held = Math.min(Math.max(x, 0), 1);
  return held * held * (3 - 2 * held);
}
