// The table as a picture to take away, as it stands on the page.
import { createElement } from "../kit/scripts/nodes.js";

/** A canvas, twice as fine as the screen, with the title above the table of `root` and a text below. */
export function drawTable(root, title, text) {
  const SCALE = 2,
    PAD = 12,
    LINE = 18;
  const style = getComputedStyle(root),
    table = root.querySelector("table"),
    box = table.getBoundingClientRect();
  const canvas = createElement("canvas"),
    to = canvas.getContext("2d"),
    font = (size, weight = 400) => `${weight} ${size}px ${style.fontFamily}`;
  const caption = [...wrapped(to, text, font(12), Math.max(box.width, 320))];
  const top = PAD + 2 * LINE,
    width = Math.max(box.width, 320) + 2 * PAD,
    height = top + box.height + PAD + caption.length * LINE;
  canvas.width = Math.ceil(SCALE * width);
  canvas.height = Math.ceil(SCALE * height);
  to.scale(SCALE, SCALE);
  to.fillStyle = style.getPropertyValue("--background-fill-primary").trim() || "#ffffff";
  to.fillRect(0, 0, width, height);
  to.textBaseline = "middle";
  to.fillStyle = style.color;
  to.font = font(16, 700);
  to.fillText(title, PAD, PAD + LINE / 2);
  for (const node of table.querySelectorAll("th, td")) {
    const own = getComputedStyle(node),
      place = node.getBoundingClientRect();
    const sticky = node === node.parentNode.firstElementChild;
    const x = PAD + (sticky ? 0 : place.left - box.left),
      y = top + place.top - box.top;
    if (node.tagName === "TD") {
      to.fillStyle = own.backgroundColor;
      to.fillRect(x, y, place.width, place.height);
    }
    to.save();
    to.fillStyle = own.color;
    to.font = `${own.fontStyle} ${font(parseFloat(own.fontSize), own.fontWeight)}`;
    if (table.classList.contains("turned") && node.tagName === "TH" && node.scope === "col" && !sticky) {
      to.translate(x + place.width / 2, y + place.height - 6);
      to.rotate(-Math.PI / 2);
      to.fillText(node.textContent, 0, 0);
    } else {
      const left = own.textAlign === "left" || sticky,
        centre = own.textAlign === "center" && !left;
      to.textAlign = left ? "left" : centre ? "center" : "right";
      const at = left
        ? x + parseFloat(own.paddingLeft)
        : centre
          ? x + place.width / 2
          : x + place.width - parseFloat(own.paddingRight);
      const lines = [...wrapped(to, node.textContent, to.font, place.width - 8)];
      lines.forEach((line, i) => to.fillText(line, at, y + place.height / 2 + (i - (lines.length - 1) / 2) * 15));
    }
    to.restore();
  }
  to.fillStyle = style.color;
  to.font = font(12);
  caption.forEach((line, i) => to.fillText(line, PAD, top + box.height + PAD + i * LINE));
  return canvas;
}

/** Lines of a text that fit `room`; words too long for it stand alone, and Chinese breaks anywhere. */
function* wrapped(to, text, font, room) {
  to.font = font;
  let line = "";
  for (const part of text.match(/[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+\s*/g) ?? []) {
    if (line && to.measureText(line + part).width > room) {
      yield line;
      line = "";
    }
    line += part;
  }
  yield line;
}
