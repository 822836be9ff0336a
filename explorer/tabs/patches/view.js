// An image is worth 16x16 words: the picture's patches, their numbers, and how they unfold into a sequence.
import { readBlock, readRow } from "../../viewer/kit/scripts/blocks.js";
import { cellAt, placeOf } from "../../viewer/kit/scripts/cells.js";
import { colourTable } from "../../viewer/kit/scripts/colours.js";
import { fetchBytes, fetchFile } from "../../viewer/kit/scripts/fetching.js";
import { HeatMap } from "../../viewer/kit/scripts/heatmap.js";
import { arrowStep, hasModifier } from "../../viewer/kit/scripts/keyboard.js";
import { drawBar } from "../../viewer/kit/scripts/legend.js";
import { followLook, oncePerFrame } from "../../viewer/kit/scripts/lifetime.js";
import { createElement, setText, viewerName } from "../../viewer/kit/scripts/nodes.js";
import { savePng } from "../../viewer/kit/scripts/saving.js";
import { describeFailure, showEmpty } from "../../viewer/kit/scripts/state.js";
import { localise } from "../../viewer/kit/scripts/words.js";
import { drawSheet } from "./png.js";
import { CUT, LINED, Unfold } from "./unfold.js";

const DURATION = 5200; // milliseconds of the whole unfolding
const BINS = 28;
const SHORT = { class: "CLS", distillation: "DIST", register: "REG" };
const round = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)).replace("-", "−");
const percent = (share) => (100 * share).toFixed(share >= 0.0995 ? 0 : 1);

/** The picture at an address, decoded. Throws as `fetchFile`. */
const fetchImage = async (url) => createImageBitmap(await (await fetchFile(url)).blob());

/** @param {import("../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  let scene = null; // the value, with its pictures and numbers loaded
  let selected = 0; // a token: the prefix first, then the patches row by row
  let hovered = -1; // a token under the pointer, shown in place of the selected one
  let ticket = 0; // of the newest load: an older one that finishes late is dropped
  let playing = 0; // the running animation, 0 for none
  const unfold = new Unfold(find(".stage"));

  // ---- the token looked at ----------------------------------------------------------------------------------------
  const shown = () => (hovered >= 0 ? hovered : selected);
  const cellOf = (token) => token - scene.prefix.length;
  const time = () => Number(find(".slider").value);

  /** {row, column, number} of a patch, from 0 as everywhere on the page. */
  function placed(cell) {
    return { ...placeOf(cell, scene.grid[1]), number: cell };
  }

  function titleOf(token) {
    const kind = scene.prefix[token];
    if (!kind) return t("patchTitle", placed(cellOf(token)));
    return t(`${kind}Title`, { number: token - scene.prefix.indexOf("register") + 1 });
  }

  const show = oncePerFrame(() => {
    if (!scene) return;
    const token = shown(),
      cell = cellOf(token),
      [gh, gw] = scene.grid;
    for (const mark of root.querySelectorAll(".mark")) {
      mark.hidden = cell < 0;
      const { row, column } = placed(Math.max(cell, 0));
      mark.style.cssText = `left:${(100 * column) / gw}%;top:${(100 * row) / gh}%;width:${100 / gw}%;height:${100 / gh}%`;
    }
    unfold.draw(time(), token);
    showDetail(token, cell);
  });

  function showDetail(token, cell) {
    const isPatch = cell >= 0,
      [ph, pw] = scene.patch_size,
      kind = scene.prefix[token];
    setText(find(".title"), titleOf(token));
    find(".badge").hidden = isPatch;
    find(".learned").hidden = isPatch;
    find(".enlarged").hidden = !isPatch;
    if (isPatch) {
      const canvas = find(".enlarged"),
        { row, column } = placed(cell);
      canvas.width = pw;
      canvas.height = ph;
      canvas.getContext("2d").drawImage(scene.image, column * pw, row * ph, pw, ph, 0, 0, pw, ph);
    } else setText(find(".badge"), SHORT[kind]);
    const facts = isPatch ? patchFacts(cell) : [["norm", round(scene.prefix_norms[token])]];
    facts.push(["row", t("rowValue", { row: token, last: scene.z0.shape[0] - 1 })]);
    const list = find(".facts");
    if (list.childElementCount !== facts.length) {
      list.replaceChildren(...facts.map(() => createElement("div", {}, createElement("dt"), createElement("dd"))));
    }
    facts.forEach(([key, text], i) => {
      setText(list.children[i].firstChild, t(key));
      setText(list.children[i].lastChild, text);
    });
    const bin = isPatch ? binOf(scene.norms[cell]) : -1;
    [...find(".histogram").children].forEach((bar, i) => bar.classList.toggle("here", i === bin));
    find(".histogram").hidden = !isPatch;
    showVector(token);
  }

  function patchFacts(cell) {
    const place = placed(cell),
      [gh, gw] = scene.grid,
      [ph, pw] = scene.patch_size,
      [left, top, right, bottom] = scene.box;
    const norm = scene.norms[cell],
      below = scene.norms.filter((other) => other < norm).length / scene.norms.length;
    const edge = (start, end, part, parts) => Math.round(start + ((end - start) * part) / parts);
    return [
      ["place", t("placeValue", { ...place, gh, gw })],
      [
        "box",
        t("boxValue", {
          left: edge(left, right, place.column, gw),
          right: edge(left, right, place.column + 1, gw),
          top: edge(top, bottom, place.row, gh),
          bottom: edge(top, bottom, place.row + 1, gh),
        }),
      ],
      ["numbers", t("numbersValue", { ph, pw, channels: scene.channels, flat: ph * pw * scene.channels })],
      ["norm", t("normValue", { norm: round(norm), share: percent(below) })],
    ];
  }

  /** The token's row of z0 as cells, blue below zero and red above. */
  function showVector(token) {
    find(".vector").hidden = !scene.rows;
    if (!scene.rows) return;
    const width = scene.z0.shape[1],
      columns = Math.min(width, 48),
      lines = Math.ceil(width / columns);
    const values = readRow(scene.rows, 0, true, token, "to", scene.vector);
    let low = 0,
      high = 0;
    for (let i = 0; i < width; i++) {
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    const most = Math.max(high, -low);
    scene.cells.draw(values, 0, lines, columns, -most, most, colourTable("diverging"));
    setText(find(".vector-note"), t("vector", { width, low: round(low), high: round(high) }));
  }

  // ---- norms ------------------------------------------------------------------------------------------------------
  function binOf(norm) {
    const [low, high] = scene.extent;
    return high > low ? Math.min(BINS - 1, Math.floor(((norm - low) / (high - low)) * BINS)) : 0;
  }

  function showNorms() {
    const [gh, gw] = scene.grid,
      [low, high] = scene.extent,
      on = find(".show-norms").checked,
      table = colourTable("magma");
    find(".heat").hidden = find(".scale").hidden = !on;
    new HeatMap(find(".heat")).draw(scene.norms, 0, gh, gw, low, high, table);
    drawBar(find(".ramp"), table);
    find(".scale-note").textContent = t("normScale", { low: round(low), high: round(high) });
    const counts = new Array(BINS).fill(0);
    for (const norm of scene.norms) counts[binOf(norm)]++;
    const tallest = Math.max(...counts);
    find(".histogram").replaceChildren(
      ...counts.map((count) => {
        const bar = createElement("i");
        bar.style.height = `${count ? Math.max(4, (100 * count) / tallest) : 0}%`;
        return bar;
      }),
    );
  }

  // ---- choosing a token -------------------------------------------------------------------------------------------
  function select(token) {
    selected = token;
    hovered = -1;
    show();
    const cell = cellOf(token);
    const words = cell < 0 ? titleOf(token) : t("spokenPatch", { ...placed(cell), norm: round(scene.norms[cell]) });
    setText(find(".spoken"), words);
  }

  function preview(token) {
    if (token === hovered) return;
    hovered = token;
    show();
  }

  /** `at(event)` says which token is under a pointer, `move(key)` where an arrow key leads from the selected one. */
  function follow(frame, at, move) {
    frame.addEventListener("pointermove", (event) => scene && event.pointerType === "mouse" && preview(at(event)));
    frame.addEventListener("pointerleave", () => scene && preview(-1));
    frame.addEventListener("click", (event) => {
      const token = scene ? at(event) : -1;
      if (token >= 0) select(token);
    });
    frame.addEventListener("keydown", (event) => {
      if (!scene || hasModifier(event)) return;
      const last = unfold.count - 1;
      const token = event.key === "Home" ? 0 : event.key === "End" ? last : move(event.key);
      if (token === null) return;
      event.preventDefault();
      select(Math.min(Math.max(token, 0), last));
    });
  }

  function stepInGrid(key) {
    const cell = arrowStep(key, Math.max(cellOf(selected), 0), ...scene.grid);
    if (cell === null) return null;
    return (cellOf(selected) < 0 ? 0 : cell) + scene.prefix.length;
  }

  function stepInSequence(key) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -unfold.columns, ArrowDown: unfold.columns }[key];
    if (!step) return null;
    const token = selected + step;
    return token >= 0 && token < unfold.count ? token : selected;
  }

  // ---- unfolding --------------------------------------------------------------------------------------------------
  function setTime(value) {
    const slider = find(".slider"),
      tokens = scene.prefix.length;
    slider.value = value;
    const phase = value < CUT ? "phaseCut" : value < LINED ? "phaseLine" : tokens ? "phaseTokens" : "phasePositions";
    const words = t(value >= 1 ? "phaseDone" : phase, { count: unfold.count, width: scene.width });
    setText(find(".phase"), words);
    slider.setAttribute("aria-valuetext", words);
    show();
  }

  function pause() {
    cancelAnimationFrame(playing);
    playing = 0;
    find(".play").textContent = t("play");
    root.classList.remove("playing");
  }

  function play() {
    if (playing) return pause();
    if (still.matches) return setTime(time() < 1 ? 1 : 0); // no motion: from the one end to the other
    const from = time() >= 1 ? 0 : time(),
      began = performance.now();
    find(".play").textContent = t("pause");
    root.classList.add("playing");
    const frame = (now) => {
      if (!element.isConnected) return pause();
      const value = Math.min(1, from + Math.max(0, now - began) / DURATION);
      setTime(value);
      if (value < 1) playing = requestAnimationFrame(frame);
      else pause();
    };
    playing = requestAnimationFrame(frame);
  }

  // ---- the still parts --------------------------------------------------------------------------------------------
  function showViews() {
    const {
        picture,
        box,
        image_size: [h, w],
        patch_size: [ph, pw],
        grid: [gh, gw],
      } = scene,
      [height, width] = picture.size;
    const [left, top, right, bottom] = box,
      x0 = Math.min(0, left),
      y0 = Math.min(0, top);
    const across = Math.max(width, right) - x0,
      down = Math.max(height, bottom) - y0; // a crop may reach beyond the picture
    const put = (node, x, y, x2, y2) => {
      node.style.left = `${(100 * (x - x0)) / across}%`;
      node.style.top = `${(100 * (y - y0)) / down}%`;
      node.style.width = `${(100 * (x2 - x)) / across}%`;
      node.style.height = `${(100 * (y2 - y)) / down}%`;
    };
    const fit = (frame, ratio) => {
      frame.style.aspectRatio = String(ratio);
      frame.style.setProperty("--ratio", ratio);
    };
    fit(find(".original"), across / down);
    find(".original .picture").src = scene.picture.file.url;
    put(find(".original .picture"), 0, 0, width, height);
    put(find(".crop"), left, top, right, bottom);
    fit(find(".seen"), w / h);
    find(".seen .picture").src = scene.seen.url;
    find(".seen .picture").classList.toggle("crisp", Math.max(h, w) < 400);
    find(".lines").style.backgroundSize = `${100 / gw}% ${100 / gh}%`;
    find(".seen").classList.toggle("fine", Math.max(gh, gw) > 32);
    find(".zoom").style.aspectRatio = `${pw} / ${ph}`;
    const all = left <= 0 && top <= 0 && right >= width && bottom >= height;
    find(".original-note").textContent = t(all ? "originalAll" : "originalNote", { width, height });
    find(".seen-note").textContent = t("seenNote", { h, w, gh, gw, ph, pw });
    find(".original").setAttribute("aria-label", t("originalLabel"));
    find(".seen").setAttribute("aria-label", t("seenLabel", { gh, gw }));
    find(".stage").setAttribute("aria-label", t("unfoldLabel", { count: unfold.count }));
  }

  function showSteps() {
    find(".steps").replaceChildren(
      ...scene.steps.map((step) => {
        const note = step.pool ? t(`from_${step.pool}`) : t(`${step.step}Note`, step);
        return createElement(
          "li",
          {},
          createElement("span", { class: "step-name" }, t(step.step, step)),
          createElement("code", {}, `[${step.shape.join(", ")}]`),
          createElement("span", { class: "step-note" }, note),
        );
      }),
    );
  }

  function showFilters() {
    const { filters, bank } = scene;
    find(".filters").hidden = !filters;
    if (!filters) return;
    const [h, w] = filters.size,
      sums = filters.explained.map(
        (
          (sum) => (share) =>
            (sum += share)
        )(0),
      );
    const cut = (canvas, index) => {
      canvas.width = w;
      canvas.height = h;
      canvas.getContext("2d").drawImage(bank, index * w, 0, w, h, 0, 0, w, h);
      return canvas;
    };
    const enlarge = (index) => {
      cut(find(".big"), index);
      find(".filter-name").textContent = t("filter", { number: index + 1 });
      find(".filter-share").textContent = t("filterShare", {
        share: percent(filters.explained[index]),
        sum: percent(sums[index]),
      });
      [...find(".tiles").children].forEach((tile, i) => tile.classList.toggle("here", i === index));
    };
    find(".filters-note").textContent = t("filtersNote", { count: sums.length, width: scene.width });
    find(".tiles").replaceChildren(
      ...sums.map((_, index) => {
        const tile = createElement("button", { type: "button" }, cut(document.createElement("canvas"), index));
        tile.setAttribute("aria-label", `${t("filter", { number: index + 1 })}: ${percent(filters.explained[index])}%`);
        for (const type of ["pointerenter", "focus", "click"]) tile.addEventListener(type, () => enlarge(index));
        return tile;
      }),
    );
    enlarge(0);
  }

  // ---- loading ----------------------------------------------------------------------------------------------------

  function say(state, text = "") {
    root.dataset.state = state;
    find(".message").textContent = text;
  }

  async function load() {
    const value = props.value,
      mine = ++ticket;
    if (!value?.seen) {
      say("empty", "");
      return showEmpty(find(".message"), t);
    }
    say("loading", scene ? "" : t("loading"));
    try {
      const [image, bank] = await Promise.all(
        [value.seen.url, value.filters?.file.url].map((url) => url && fetchImage(url)),
      );
      if (mine !== ticket) return;
      pause();
      const before = scene;
      before?.image.close();
      before?.bank?.close();
      scene = { ...value, image, bank, extent: [Math.min(...value.norms), Math.max(...value.norms)] };
      if (before?.grid.join() !== value.grid.join() || before.prefix.length !== value.prefix.length) {
        const [gh, gw] = value.grid;
        selected = value.prefix.length + Math.floor(gh / 2) * gw + Math.floor(gw / 2);
      }
      hovered = -1;
      unfold.show({
        image,
        grid: value.grid,
        patch: value.patch_size,
        prefix: value.prefix.map((kind) => SHORT[kind]),
      });
      showViews();
      showSteps();
      showNorms();
      showFilters();
      say("ready");
      setTime(time());
      root.dataset.seq = Number(root.dataset.seq) + 1;
      const [tokens, width] = value.z0.shape,
        buffer = await fetchBytes(value.z0.file.url);
      if (mine !== ticket) return;
      const columns = Math.min(width, 48);
      Object.assign(scene, {
        rows: readBlock(buffer, 1, tokens, width),
        vector: new Float32Array(Math.ceil(width / columns) * columns),
        cells: new HeatMap(find(".vector-cells")),
      });
      show();
      root.dataset.state = "complete";
    } catch (error) {
      if (mine !== ticket) return;
      scene = null;
      say("error", describeFailure(error, t, { error: "failed" }).message);
    }
  }

  find(".play").textContent = t("play");
  find(".play").addEventListener("click", () => scene && play());
  find(".slider").addEventListener("input", () => {
    if (!scene) return;
    pause();
    setTime(time());
  });
  find(".png").addEventListener("click", () => {
    if (!scene) return;
    const { grid, image_size, patch_size, channels, width, box, picture } = scene,
      token = shown();
    savePng(drawSheet({ root, scene, cell: cellOf(token) }), `patches-token${token}.png`, scene.manifest, {
      viewer: viewerName(element, props),
      caption: localise(scene.caption, lang),
      token,
      patch: cellOf(token), // below zero: a special token
      grid,
      image_size,
      patch_size,
      channels,
      width,
      crop_box: box,
      picture_size: picture.size,
    });
  });
  find(".show-norms").addEventListener("change", () => scene && showNorms());
  for (const [name, target] of [
    [".original", ".crop"],
    [".seen", ".seen"],
  ]) {
    follow(
      find(name),
      (event) => {
        const cell = cellAt(event, find(target), ...scene.grid);
        return cell < 0 ? -1 : cell + scene.prefix.length;
      },
      stepInGrid,
    );
  }
  follow(find(".stage"), (event) => unfold.at(event, time()), stepInSequence);
  followLook(find(".stage"), (cause) => {
    if (cause === "size") {
      if (!scene || unfold.width === find(".stage").clientWidth) return;
      unfold.layout();
    }
    show();
  });
  watch("value", load);
  load();
}
