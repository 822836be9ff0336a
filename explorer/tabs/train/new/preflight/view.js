// What a look ahead has found. All strings go in as text.
import { createElement } from "../../../../viewer/kit/scripts/nodes.js";
import { formatDuration } from "../../../../viewer/kit/scripts/numbers.js";

const PARTS = ["train", "val", "test"],
  GAP = 2; // CSS pixels between patches

const whole = (value) => Number(value).toLocaleString("en-US");
const rough = (value) => (value >= 100 ? whole(Math.round(value)) : String(Number(value.toPrecision(3))));
const bytes = (value) => (value >= 2 ** 30 ? `${rough(value / 2 ** 30)} GiB` : `${rough(value / 2 ** 20)} MiB`);
const facts = (pairs) =>
  pairs.map(([name, text]) => createElement("div", {}, createElement("dt", {}, name), createElement("dd", {}, text)));

/** Every patch on its own, with a gap to the next; one patch (a network that reads pixels) is drawn whole. */
function cut(canvas, picture, [ph, pw]) {
  const rows = Math.round(picture.height / ph),
    columns = Math.round(picture.width / pw);
  const zoom = Math.max(1, Math.round(320 / picture.width)),
    gap = rows * columns > 1 ? GAP * Math.max(1, Math.round(zoom / 2)) : 0;
  canvas.width = columns * (pw * zoom + gap) - gap;
  canvas.height = rows * (ph * zoom + gap) - gap;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      context.drawImage(
        picture,
        column * pw,
        row * ph,
        pw,
        ph,
        column * (pw * zoom + gap),
        row * (ph * zoom + gap),
        pw * zoom,
        ph * zoom,
      );
    }
  }
}

const samples = (shown) =>
  createElement(
    "div",
    { class: "pictures small" },
    ...shown.map(({ file, name }) =>
      createElement(
        "figure",
        {},
        createElement("img", { src: file.url, alt: name, loading: "lazy" }),
        createElement("figcaption", {}, name),
      ),
    ),
  );

/** @param {import("../../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, watch, t }) {
  const $ = (selector) => root.querySelector(selector);

  const duration = (seconds) =>
    Math.round(seconds) < 60 ? t("seconds", { s: rough(seconds) }) : formatDuration(seconds, t);

  // ---- one dry step -----------------------------------------------------------------------------------------------
  function step(found) {
    const [h, w] = found.resolution,
      grid = found.grid ? t("grid", { gh: found.grid[0], gw: found.grid[1] }) : "";
    const part = found.batch / found.batch_parts;
    $(".step .facts").replaceChildren(
      ...facts([
        [t("to_go"), duration(found.seconds)],
        [
          t("steps"),
          `${whole(found.steps ?? found.steps_in_budget)} (${t("epochs", { epochs: rough(found.epochs) })})`,
        ],
        [t("rate"), rough(found.images_per_second)],
        [t(found.device.startsWith("cuda") ? "gpu_memory" : "memory"), bytes(found.peak_bytes)],
        [t("disk"), bytes(found.disk_bytes)],
        [
          t("parameters"),
          t("parameter_counts", { trained: whole(found.trainable_parameters), all: whole(found.parameters) }),
        ],
        [t("input"), `${h}×${w} px${grid}`],
        [
          t("pictures"),
          t("picture_counts", {
            train: whole(found.pictures),
            held: whole(found.held_out),
            classes: whole(found.classes),
          }),
        ],
        [t("batch"), found.batch_parts > 1 ? `${found.batch} = ${found.batch_parts} × ${part}` : String(found.batch)],
        [t("device"), found.device],
      ]),
    );
    $(".step .advice").textContent =
      found.batch_parts > (props.value.accumulation ?? 1)
        ? t("too_large", { batch: found.batch, parts: found.batch_parts, part })
        : t("fits");
    if (found.disk_bytes > found.disk_free)
      $(".step .advice").textContent +=
        ` ${t("no_room", { need: bytes(found.disk_bytes), free: bytes(found.disk_free) })}`;
  }

  // ---- the batch, cut into patches --------------------------------------------------------------------------------
  function batch({ files, names, patch }) {
    $(".batch .pictures").replaceChildren(
      ...files.map((file, index) => {
        const canvas = createElement("canvas", { "role": "img", "aria-label": names[index] });
        const picture = new Image();
        picture.onload = () => cut(canvas, picture, patch);
        picture.src = file.url;
        return createElement("figure", {}, canvas, createElement("figcaption", {}, names[index]));
      }),
    );
  }

  // ---- the data report --------------------------------------------------------------------------------------------
  function data(found) {
    const parts = PARTS.filter((part) => found.parts[part]),
      total = (part) => found.parts[part].count;
    const sides = ([least, median, most]) =>
      least === most ? whole(least) : `${whole(least)} – ${whole(most)} (${t("median", { median: whole(median) })})`;
    $(".data").replaceChildren(
      createElement("h4", {}, t("data_title", { name: found.name })),
      createElement(
        "dl",
        { class: "facts" },
        ...facts([
          ...parts.map((part) => [t(part), whole(total(part))]),
          [t("classes"), whole(found.classes.length)],
          [t("height"), sides(found.sizes.height)],
          [t("width"), sides(found.sizes.width)],
        ]),
      ),
      warnings(found),
      createElement("h5", {}, t("per_class")),
      createElement(
        "p",
        {},
        ...parts.map((part) => createElement("span", { class: "key" }, createElement("i", { class: part }), t(part))),
      ),
      classes(found, parts),
      ...(found.samples.length ? [createElement("h5", {}, t("samples")), samples(found.samples)] : []),
      ...lists(found),
    );
  }

  function warnings(found) {
    const said = [];
    if (found.unreadable.count) said.push(t("unreadable", { count: whole(found.unreadable.count) }));
    for (const {
      parts: [first, second],
      count,
    } of found.duplicates.across)
      said.push(t("leakage", { count: whole(count), first: t(first), second: t(second) }));
    for (const [part, { extra, contradicting }] of Object.entries(found.duplicates.within)) {
      if (extra)
        said.push(
          t("repeats", { count: whole(extra), part: t(part) }) +
            (contradicting ? t("contradicting", { count: whole(contradicting) }) : ""),
        );
    }
    const { ratio, largest, smallest } = found.imbalance;
    if (ratio >= 3)
      said.push(
        t("uneven", {
          large: largest[0],
          most: whole(largest[1]),
          small: smallest[0],
          least: whole(smallest[1]),
          ratio: rough(ratio),
        }),
      );
    if (found.single.length) said.push(t("single", { count: whole(found.single.length), name: found.single[0] }));
    if (!found.parts.val) said.push(t("unchecked"));
    if (found.sizes.smaller)
      said.push(t("smaller", { count: whole(found.sizes.smaller), resolution: found.sizes.resolution }));
    said.push(...found.notes);
    return said.length
      ? createElement("ul", { class: "warnings" }, ...said.map((text) => createElement("li", {}, text)))
      : createElement("p", { class: "quiet" }, t("no_warnings"));
  }

  /** A row for each class: how many pictures of it each part has, as a bar. */
  function classes(found, parts) {
    const counts = found.classes.map((_, index) => parts.map((part) => found.parts[part].per_class[index]));
    const most = Math.max(...counts.map((row) => row.reduce((sum, count) => sum + count, 0)), 1);
    return createElement(
      "div",
      { "class": "classes", "tabindex": "0", "role": "group", "aria-label": t("per_class") },
      ...found.classes.flatMap((name, index) => {
        const bar = createElement(
          "span",
          { "class": "bar", "aria-hidden": "true" },
          ...parts.map((part, i) => {
            const piece = createElement("i", { class: part });
            piece.style.width = `${(100 * counts[index][i]) / most}%`;
            return piece;
          }),
        );
        return [
          createElement("span", { class: "name", title: name }, name),
          bar,
          createElement("span", { class: "count" }, counts[index].map(whole).join(" + ")),
        ];
      }),
    );
  }

  /** What is named one by one, folded away. */
  function lists(found) {
    const folded = (title, lines) =>
      lines.length
        ? [
            createElement(
              "details",
              {},
              createElement("summary", {}, title),
              createElement("ul", {}, ...lines.map((line) => createElement("li", {}, line))),
            ),
          ]
        : [];
    const { names, reasons } = found.unreadable;
    return [
      ...folded(
        t("unreadable_names"),
        names.map((name, i) => `${name}: ${reasons[i] ?? ""}`),
      ),
      ...found.duplicates.across.flatMap(({ parts, pairs }) =>
        folded(
          t("leakage_names", { first: t(parts[0]), second: t(parts[1]) }),
          pairs.map((pair) => pair.join(" = ")),
        ),
      ),
      ...Object.entries(found.duplicates.within).flatMap(([part, { groups }]) =>
        folded(
          t("repeat_names", { part: t(part) }),
          groups.map((group) => group.join(" = ")),
        ),
      ),
    ];
  }

  function show() {
    const value = props.value ?? {},
      drawn = { step, batch, data };
    for (const [name, draw] of Object.entries(drawn)) {
      $(`.${name}`).hidden = !value[name];
      if (value[name]) draw(value[name]);
    }
    root.dataset.state = Object.keys(drawn).some((name) => value[name]) ? "ready" : "empty";
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }
  watch("value", show);
  show();
}
