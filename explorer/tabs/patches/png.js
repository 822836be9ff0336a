// Save PNG: the picture with its crop, what the model sees, the patch in sight and the sequence, as one picture.
import { createElement } from "../../viewer/kit/scripts/nodes.js";
import { frame } from "../../viewer/kit/scripts/saving.js";

/** @param {object} shown the `root` of the component, its `scene`, and the `cell` in sight (below zero: none) */
export function drawSheet({ root, scene, cell }) {
  const find = (selector) => root.querySelector(selector);
  const {
    picture,
    box,
    grid: [gh, gw],
    image_size: [h, w],
    patch_size: [ph, pw],
  } = scene;
  const style = getComputedStyle(root),
    side = 560,
    gap = 32,
    head = 44,
    foot = 40,
    beside = 380;
  const width = 2 * side + beside + 4 * gap,
    stage = find(".stage canvas");
  const enlarged = Math.min((width - 2 * gap) / Math.max(stage.width, 1), 2); // a phone's is small
  const unfolded = Math.round(stage.height * enlarged);
  const canvas = createElement("canvas", { width, height: 3 * head + side + foot + unfolded + 2 * gap });
  const context = canvas.getContext("2d");
  context.fillStyle = style.getPropertyValue("--background-fill-primary").trim() || "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = "middle";
  const write = (text, x, y, size = 20, most = side, weight = 400) => {
    context.fillStyle = style.color;
    context.font = `${weight} ${size}px ${style.fontFamily}`;
    context.fillText(text, x, y, most);
  };
  /** Marks the patch in sight in a gh x gw grid over a rectangle. */
  const mark = (x, y, across, down) => {
    if (cell < 0) return;
    const column = cell % gw,
      row = Math.floor(cell / gw);
    frame(
      context,
      [x + (column * across) / gw, y + (row * down) / gh, across / gw, down / gh],
      [
        ["#000", 6],
        ["#fff", 3],
      ],
    );
  };

  const [height, wide] = picture.size,
    [left, top, right, bottom] = box;
  const x0 = Math.min(0, left),
    y0 = Math.min(0, top); // a crop may reach beyond the picture
  const scale = side / Math.max(Math.max(wide, right) - x0, Math.max(height, bottom) - y0);
  const at = (x, y) => [gap + (x - x0) * scale, head + gap / 2 + (y - y0) * scale];
  write(find("[data-text=original]").textContent, gap, head / 2 + gap / 4, 24, side, 700);
  context.drawImage(find(".original .picture"), ...at(0, 0), wide * scale, height * scale);
  const crop = [...at(left, top), (right - left) * scale, (bottom - top) * scale];
  context.fillStyle = "rgb(0 0 0 / 0.58)";
  context.beginPath();
  context.rect(...at(0, 0), wide * scale, height * scale);
  context.rect(...crop);
  context.fill("evenodd");
  mark(...crop);
  write(find(".original-note").textContent, gap, head + gap + side, 18);

  const seenAt = [2 * gap + side, head + gap / 2],
    fit = side / Math.max(h, w),
    seenSize = [w * fit, h * fit];
  write(find("[data-text=seen]").textContent, seenAt[0], head / 2 + gap / 4, 24, side, 700);
  context.imageSmoothingEnabled = Math.max(h, w) >= 400;
  context.drawImage(scene.image, ...seenAt, ...seenSize);
  context.imageSmoothingEnabled = false;
  if (find(".show-norms").checked) {
    context.globalAlpha = 0.78;
    context.drawImage(find(".heat"), ...seenAt, ...seenSize);
    context.globalAlpha = 1;
  }
  context.fillStyle = `rgb(255 255 255 / ${Math.max(gh, gw) > 32 ? 0.15 : 0.5})`;
  for (let i = 1; i < gw; i++) context.fillRect(seenAt[0] + (i * seenSize[0]) / gw, seenAt[1], 1, seenSize[1]);
  for (let i = 1; i < gh; i++) context.fillRect(seenAt[0], seenAt[1] + (i * seenSize[1]) / gh, seenSize[0], 1);
  mark(...seenAt, ...seenSize);
  const norms = find(".show-norms").checked ? ` · ${find(".scale-note").textContent}` : "";
  write(find(".seen-note").textContent + norms, seenAt[0], head + gap + side, 18);

  const x = 3 * gap + 2 * side,
    large = 200 / Math.max(ph, pw);
  write(find(".title").textContent, x, head / 2 + gap / 4, 24, beside, 700);
  let y = head + gap / 2;
  if (cell >= 0) {
    context.drawImage(find(".enlarged"), x, y, pw * large, ph * large);
    y += ph * large + gap;
  }
  for (const fact of find(".facts").children) {
    write(fact.firstChild.textContent, x, y, 15, beside);
    write(fact.lastChild.textContent, x, y + 23, 19, beside);
    y += 58;
  }

  const below = head + side + foot + 2 * gap;
  write(find(".phase").textContent, gap, below, 20, width - 2 * gap);
  context.imageSmoothingEnabled = true;
  context.drawImage(stage, gap, below + gap, stage.width * enlarged, unfolded);
  return canvas;
}
