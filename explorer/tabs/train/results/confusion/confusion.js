// The confusion matrix. One canvas, as large as what is in sight, shows the part of the matrix that the frame has
// scrolled to.
import { arrowStep, hasModifier } from "../../../../viewer/kit/scripts/keyboard.js";
import { followLook, oncePerFrame } from "../../../../viewer/kit/scripts/lifetime.js";
import { createElement, setText, viewerName } from "../../../../viewer/kit/scripts/nodes.js";
import { offerCsv, savePng } from "../../../../viewer/kit/scripts/saving.js";
import { localise } from "../../../../viewer/kit/scripts/words.js";

const LARGEST_CELL = 64,
  SMALLEST_CELL = 2,
  NUMBERS_FROM = 17; // CSS pixels
const PAIRS = 8;

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const rgb = (parts) => `rgb(${parts.map(Math.round).join(" ")})`;
const mix = (from, to, share) => from.map((value, i) => value + (to[i] - value) * share);
const shade = (share) => (share > 0 ? 0.08 + 0.92 * share ** 0.6 : 0); // a single mistake can be seen

function clipped(to, text, room) {
  if (to.measureText(text).width <= room) return text;
  let short = text.slice(0, 60);
  while (short.length > 1 && to.measureText(`${short}…`).width > room) short = short.slice(0, -1);
  return `${short}…`;
}

/** @param {import("../../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, trigger, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);
  const frame = find(".frame"),
    space = find(".space"),
    canvas = find(".space canvas");
  const context = canvas.getContext("2d");

  let data = null; // {classes, counts: Map(row * K + column -> count), totals}
  let cell = 0; // CSS pixels of a cell; 0: as many as fit
  let cursor = null; // {row, column}
  let chosen = null; // the cell whose pictures are shown

  find(".in").setAttribute("aria-label", t("zoomIn"));
  find(".out").setAttribute("aria-label", t("zoomOut"));
  for (const order of ["worst", "best", "name"])
    find(".order").append(createElement("option", { value: order }, t(order)));
  const countAt = (row, column) => data.counts.get(row * data.classes.length + column) ?? 0;

  // ---- geometry ---------------------------------------------------------------------------------------------------
  /** Pixels of the labels left and above, and of a cell. Labels take at most a third of the width. */
  function geometry() {
    const count = data.classes.length,
      width = frame.clientWidth,
      height = Math.min(0.78 * innerHeight, 818);
    context.font = labelFont();
    const longest = Math.max(...data.classes.slice(0, 400).map((name) => context.measureText(name).width));
    const margin = Math.ceil(Math.min(longest + 12, width / 3, 150));
    const fit = Math.max(
      SMALLEST_CELL,
      Math.min((width - margin - 1) / count, (height - margin) / count, LARGEST_CELL),
    );
    const size = cell || fit;
    return { count, margin, size, fit, labelled: size >= 9 };
  }
  const labelFont = () => `12px ${getComputedStyle(root).fontFamily}`;

  function palette() {
    const style = getComputedStyle(root),
      probe = createElement("span");
    root.append(probe);
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe)
        .color.match(/[\d.]+/g)
        .slice(0, 3)
        .map(Number);
    };
    const found = {
      ink: colour("--ink"),
      paper: colour("--background-fill-primary"),
      line: colour("--line"),
      right: colour("--right"),
      wrong: colour("--wrong"),
      accent: colour("--accent"),
      family: style.fontFamily,
    };
    probe.remove();
    return found;
  }

  // ---- drawing ----------------------------------------------------------------------------------------------------
  const draw = oncePerFrame(() => {
    if (!data || !frame.clientWidth || !element.isConnected) return;
    const { count, margin, size } = geometry(),
      whole = margin + size * count;
    const width = Math.min(frame.clientWidth, Math.ceil(whole)),
      height = Math.min(Math.ceil(whole), Math.min(0.78 * innerHeight, 818));
    space.style.width = `${whole}px`;
    space.style.height = `${whole}px`;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    paint(
      context,
      { width, height, left: frame.scrollLeft, top: frame.scrollTop, ratio, cursor, chosen },
      geometry(),
      palette(),
    );
  });

  /** Draws the part of the matrix that a window of width x height pixels, scrolled to (left, top), has in sight. */
  function paint(to, view, { count, margin, size, labelled }, colours) {
    const { width, height, left, top, ratio } = view;
    to.setTransform(ratio, 0, 0, ratio, 0, 0);
    to.fillStyle = rgb(colours.paper);
    to.fillRect(0, 0, width, height);
    const first = (scrolled) => Math.max(0, Math.floor(scrolled / size));
    const last = (scrolled, extent) => Math.min(count - 1, Math.floor((scrolled + extent - margin) / size));
    const rows = [first(top), last(top, height)],
      columns = [first(left), last(left, width)];
    const x = (column) => margin + column * size - left,
      y = (row) => margin + row * size - top;
    const gap = size > 6 ? 1 : 0;
    to.save();
    to.beginPath();
    to.rect(margin, margin, width - margin, height - margin);
    to.clip();
    to.textAlign = "center";
    to.textBaseline = "middle";
    to.font = `${Math.min(13, Math.max(9, size * 0.34))}px ${colours.family}`;
    for (let row = rows[0]; row <= rows[1]; row++) {
      const total = data.totals[row];
      for (let column = columns[0]; column <= columns[1]; column++) {
        const value = countAt(row, column);
        if (!value) {
          if (!gap) continue;
          to.fillStyle = rgb(mix(colours.paper, colours.ink, 0.035));
          to.fillRect(x(column), y(row), size - gap, size - gap);
          continue;
        }
        const strength = shade(value / total),
          fill = mix(colours.paper, row === column ? colours.right : colours.wrong, strength);
        to.fillStyle = rgb(fill);
        to.fillRect(x(column), y(row), size - gap, size - gap);
        if (size >= NUMBERS_FROM && String(value).length * 5.5 < size) {
          const bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2];
          to.fillStyle = bright > 140 ? "#111111" : "#ffffff";
          to.fillText(value, x(column) + (size - gap) / 2, y(row) + (size - gap) / 2);
        }
      }
    }
    for (const [place, colour, line] of [
      [view.chosen, colours.accent, 3],
      [view.cursor, colours.ink, 2],
    ]) {
      if (!place) continue;
      to.strokeStyle = rgb(colour);
      to.lineWidth = line;
      to.strokeRect(
        x(place.column) - line / 2,
        y(place.row) - line / 2,
        Math.max(size, 4) + line - gap,
        Math.max(size, 4) + line - gap,
      );
    }
    to.restore();
    to.font = `12px ${colours.family}`;
    to.textBaseline = "middle";
    const room = margin - 10,
      step = labelled ? 1 : Math.ceil(13 / size);
    const label = (index) => clipped(to, data.classes[index], room);
    to.save();
    to.beginPath();
    to.rect(0, margin, margin, height - margin);
    to.clip();
    to.textAlign = "right";
    for (let row = rows[0]; row <= rows[1]; row++) {
      const marked = view.cursor?.row === row;
      if (row % step && !marked) continue;
      to.fillStyle = rgb(marked ? colours.ink : mix(colours.paper, colours.ink, 0.72));
      if (labelled || !view.cursor || marked || Math.abs(view.cursor.row - row) * size > 13)
        to.fillText(label(row), margin - 5, y(row) + size / 2);
    }
    to.restore();
    to.save();
    to.beginPath();
    to.rect(margin, 0, width - margin, margin);
    to.clip();
    to.textAlign = "left";
    for (let column = columns[0]; column <= columns[1]; column++) {
      const marked = view.cursor?.column === column;
      if (column % step && !marked) continue;
      if (!labelled && view.cursor && !marked && Math.abs(view.cursor.column - column) * size <= 13) continue;
      to.fillStyle = rgb(marked ? colours.ink : mix(colours.paper, colours.ink, 0.72));
      to.save();
      to.translate(x(column) + size / 2, margin - 5);
      to.rotate(-Math.PI / 2);
      to.fillText(label(column), 0, 0);
      to.restore();
    }
    to.restore();
    to.fillStyle = rgb(mix(colours.paper, colours.ink, 0.72));
    to.font = `11px ${colours.family}`;
    to.textAlign = "left";
    to.fillText(clipped(to, `${t("columnAxis")} →`, margin - 8), 5, margin - 22);
    to.fillText(clipped(to, `${t("rowAxis")} ↓`, margin - 8), 5, margin - 8);
  }

  function ramps() {
    const colours = palette();
    for (const kind of ["right", "wrong"]) {
      const to = find(`.ramp.${kind}`).getContext("2d");
      for (let i = 0; i < 64; i++) {
        to.fillStyle = rgb(mix(colours.paper, colours[kind], shade(i / 63)));
        to.fillRect(i, 0, 1, 1);
      }
    }
  }

  // ---- choosing ---------------------------------------------------------------------------------------------------
  const words = (row, column) => {
    const count = countAt(row, column),
      total = data.totals[row],
      share = total ? percent(count / total) : "–";
    return t(row === column ? "readingRight" : "reading", {
      true: data.classes[row],
      predicted: data.classes[column],
      count,
      total,
      share,
    });
  };

  function look(row, column, spoken) {
    cursor = { row, column };
    setText(find(".reading"), words(row, column));
    if (spoken) find(".spoken").textContent = words(row, column);
    draw();
  }

  function under(event) {
    const { count, margin, size } = geometry(),
      box = frame.getBoundingClientRect();
    const x = event.clientX - box.left - frame.clientLeft,
      y = event.clientY - box.top - frame.clientTop;
    if (x < margin || y < margin) return null;
    const column = Math.floor((x - margin + frame.scrollLeft) / size),
      row = Math.floor((y - margin + frame.scrollTop) / size);
    return row < count && column < count ? { row, column } : null;
  }

  function openCell(row, column) {
    if (!data.pictures || !countAt(row, column)) return;
    chosen = { row, column };
    draw();
    trigger("cell", { split: data.split, true: row, predicted: column });
  }

  function intoSight({ row, column }) {
    const { margin, size } = geometry();
    const towards = (at, scrolled, extent) =>
      Math.max(Math.min(scrolled, at * size), (at + 1) * size - (extent - margin));
    frame.scrollLeft = towards(column, frame.scrollLeft, frame.clientWidth);
    frame.scrollTop = towards(row, frame.scrollTop, frame.clientHeight);
  }

  function zoom(factor, around) {
    const { size, fit, margin } = geometry(),
      next = Math.min(Math.max(size * factor, Math.min(fit, 8)), LARGEST_CELL);
    const at = around ?? {
      row: (frame.scrollTop + frame.clientHeight / 2 - margin) / size,
      column: (frame.scrollLeft + frame.clientWidth / 2 - margin) / size,
    };
    cell = Math.abs(next - fit) < 0.5 ? 0 : next;
    const whole = margin + geometry().size * data.classes.length;
    space.style.width = space.style.height = `${whole}px`; // or the frame cannot scroll that far yet
    frame.scrollLeft = at.column * geometry().size - (frame.clientWidth - margin) / 2;
    frame.scrollTop = at.row * geometry().size - (frame.clientHeight - margin) / 2;
    draw();
  }

  frame.addEventListener("pointermove", (event) => {
    const place = data && under(event);
    if (place && (place.row !== cursor?.row || place.column !== cursor?.column)) look(place.row, place.column);
  });
  frame.addEventListener("click", (event) => {
    const place = data && under(event);
    if (!place) return;
    look(place.row, place.column);
    openCell(place.row, place.column);
  });
  frame.addEventListener("scroll", draw);
  frame.addEventListener("focus", () => data && !cursor && look(0, 0, true));
  frame.addEventListener("keydown", (event) => {
    if (!data || hasModifier(event)) return;
    const count = data.classes.length,
      { row, column } = cursor ?? { row: 0, column: 0 };
    const step = arrowStep(event.key, row * count + column, count, count);
    if (step !== null) {
      look(Math.floor(step / count), step % count, true);
      intoSight(cursor);
    } else if (event.key === "Home") {
      // the diagonal
      look(row, row, true);
      intoSight(cursor);
    } else if (event.key === "Enter" || event.key === " ") openCell(row, column);
    else if (event.key === "+" || event.key === "=") zoom(1.5, cursor);
    else if (event.key === "-") zoom(1 / 1.5, cursor);
    else return;
    event.preventDefault();
  });
  find(".in").addEventListener("click", () => zoom(1.5, cursor));
  find(".out").addEventListener("click", () => zoom(1 / 1.5, cursor));
  find(".fit").addEventListener("click", () => {
    cell = 0;
    draw();
  });

  // ---- beside the matrix: pairs and classes -----------------------------------------------------------------------
  function entry(cls, label, value, spoken, act) {
    const node = createElement(
      "button",
      { "type": "button", "aria-label": spoken, "title": label },
      createElement("span", { class: "label" }, label),
      createElement("span", { class: "value" }, value),
    );
    node.disabled = !data.pictures;
    node.addEventListener("click", act);
    return createElement("li", { class: cls }, node);
  }

  function fillPairs() {
    const count = data.classes.length;
    const wrong = [...data.counts]
      .map(([at, n]) => [Math.floor(at / count), at % count, n])
      .filter(([row, column]) => row !== column);
    wrong.sort((a, b) => b[2] - a[2] || a[0] - b[0] || a[1] - b[1]);
    const items = wrong.slice(0, PAIRS).map(([row, column, n]) => {
      const names = { true: data.classes[row], predicted: data.classes[column], count: n };
      return entry("pair", t("pair", names), `${n} · ${percent(n / data.totals[row])}`, t("pairLabel", names), () => {
        look(row, column);
        intoSight(cursor);
        openCell(row, column);
      });
    });
    find(".pairs").replaceChildren(...(items.length ? items : [createElement("li", { class: "none" }, t("noPairs"))]));
  }

  function fillClasses() {
    const order = find(".order").value;
    const share = (index) => (data.totals[index] ? countAt(index, index) / data.totals[index] : NaN);
    const indices = data.classes.map((_, index) => index);
    if (order !== "name") {
      // classes without pictures come last
      const sign = order === "worst" ? 1 : -1;
      indices.sort((a, b) => {
        const x = share(a),
          y = share(b);
        return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || a - b;
      });
    }
    const items = indices.map((index) => {
      const name = data.classes[index],
        total = data.totals[index],
        known = total > 0;
      const shown = known ? percent(share(index)) : t("noPictures");
      const item = entry(
        "class",
        name,
        known ? `${shown} · ${total}` : shown,
        t("classLabel", { name, share: shown, total }),
        () => trigger("cell", { split: data.split, true: index, predicted: null }),
      );
      if (known) {
        const bar = createElement("span", { class: "bar" });
        bar.style.width = percent(share(index));
        item.firstChild.append(bar);
      } else item.firstChild.disabled = true;
      return item;
    });
    find(".classes").replaceChildren(...items);
  }
  find(".order").addEventListener("change", () => data && fillClasses());

  // ---- to take away -----------------------------------------------------------------------------------------------
  find(".png").addEventListener("click", () => {
    const sheet = document.createElement("canvas"),
      shape = geometry(),
      { count } = shape;
    const size = Math.max(SMALLEST_CELL, Math.min(shape.size >= NUMBERS_FROM ? shape.size : 28, 3600 / count));
    const whole = Math.ceil(shape.margin + size * count),
      ratio = whole < 2000 ? 2 : 1;
    sheet.width = sheet.height = whole * ratio;
    paint(
      sheet.getContext("2d"),
      { width: whole, height: whole, left: 0, top: 0, ratio },
      { ...shape, size, labelled: size >= 9 },
      palette(),
    );
    const { title, split, classes, note } = props.value;
    savePng(sheet, `${t("file")}-${data.split}.png`, props.value.manifest, {
      viewer: viewerName(element, props),
      title: localise(title, lang),
      note: localise(note, lang),
      split,
      classes,
      order: "rows: true class, columns: predicted class",
    });
  });
  find(".csv").addEventListener("click", () => {
    // No formula for a spreadsheet.
    const quoted = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;
    const lines = [[`${t("rowAxis")} \\ ${t("columnAxis")}`, ...data.classes].map(quoted).join(",")];
    data.classes.forEach((name, row) =>
      lines.push([quoted(name), ...data.classes.map((_, column) => countAt(row, column))].join(",")),
    );
    lines[0] = `\ufeff${lines[0]}`; // so that a spreadsheet reads it as UTF-8
    offerCsv(lines, `${t("file")}-${data.split}.csv`);
  });

  // ---- values -----------------------------------------------------------------------------------------------------
  function show() {
    const value = props.value;
    if (!value?.classes) {
      data = null;
      root.dataset.state = "empty";
      setText(find(".message"), localise(value?.message, lang) || t("empty"));
      return;
    }
    const count = value.classes.length,
      counts = new Map(),
      totals = new Array(count).fill(0);
    for (const [row, column, n] of value.cells) {
      counts.set(row * count + column, n);
      totals[row] += n;
    }
    const same = data && data.classes.length === count && data.split === value.split;
    data = { ...value, counts, totals };
    if (!same) {
      cell = 0;
      cursor = chosen = null;
      setText(find(".reading"), t("hint"));
    }
    setText(find(".message"), "");
    setText(find(".title"), localise(value.title, lang));
    setText(find(".note"), localise(value.note, lang));
    frame.setAttribute("aria-label", t("matrix", { count }));
    root.dataset.state = "ready";
    fillPairs();
    fillClasses();
    ramps();
    draw();
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  let inSight = false;
  followLook(
    root,
    (cause) => {
      if (cause === "theme" && data) ramps();
      if (cause === "size") {
        const now = Boolean(root.offsetParent);
        if (now && !inSight) refresh(); // its tab has been opened
        inSight = now;
      }
      draw();
    },
    () => clearInterval(timer),
  );
  const timer = setInterval(() => {
    // results of a run that goes on
    if (!element.isConnected) clearInterval(timer);
    else if (document.visibilityState === "visible" && root.offsetParent) refresh();
  }, 8000);
  const refresh = () => trigger("refresh", { stamp: props.value?.stamp ?? "" });
  watch("value", show);
  show();
}
