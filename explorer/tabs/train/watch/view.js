// A run as it goes: asks for what is new once a second, keeps the rows, and draws in place.
import { addSegments, copyText } from "../../../viewer/kit/scripts/controls.js";
import { followLook, listen, oncePerFrame } from "../../../viewer/kit/scripts/lifetime.js";
import { createElement, setText } from "../../../viewer/kit/scripts/nodes.js";
import { formatDuration } from "../../../viewer/kit/scripts/numbers.js";
import { localise } from "../../../viewer/kit/scripts/words.js";
import { addressInSight, linkToRun } from "./address.js";
import { shortNumber } from "./axis.js";
import { Chart } from "./chart.js";
import { nearest, Series } from "./series.js";
import { describePhase, formatBatch, formatBytes, formatOf, formatRate, progressShare, roundEpoch } from "./words.js";

const TICK = 1000,
  LOG_CHARACTERS = 60000,
  ENDED = new Set(["stopped", "finished", "failed"]);

// What each chart shows: [key of its title, unit, lines]; a line is [split, value, key of its name, choices].
const CHARTS = [
  [
    "loss",
    "",
    [
      ["train", "loss", "train", { raw: true }],
      ["val", "loss", "val", { dots: true }],
      ["test", "loss", "test", { dots: true }],
    ],
    true,
  ],
  [
    "accuracy",
    "percent",
    [
      ["train", "accuracy", "train", {}],
      ["val", "accuracy", "val", { dots: true }],
      ["test", "accuracy", "test", { dots: true }],
    ],
    true,
  ],
  ["lr", "", [["train", "lr", "train", {}]]],
  ["grad_norm", "", [["train", "grad_norm", "train", { raw: true }]]],
  ["speed", "", [["train", "images_per_second", "train", {}]]],
  ["memory", "gib", [["train", "memory_bytes", "train", {}]]],
];
const UNITS = { percent: 100, gib: 2 ** -30 };
const floorOf = (name) => (name === "loss" || name === "accuracy" ? null : 0);

/** @param {import("../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, trigger, server, watch, lang, t }) {
  const $ = (selector) => root.querySelector(selector);
  const spoken = $(".spoken"),
    output = $(".output pre"),
    facts = {};

  let run = null; // {run, ticket} in sight
  let series, head, offset, logOffset, failures; // of that run
  let mine = 0; // number of that run's selection: answers to an earlier one are dropped
  let waiting = false; // an answer is on its way
  let axis = "step",
    cursor = null; // what the charts share; the cursor is a step

  const charts = CHARTS.map(([name, unit, lines, large]) => {
    const legend = lines.map(([split, , text, { dots }]) => {
      const mark = createElement("i", dots ? { class: "dot" } : {}),
        value = createElement("b", {}, "–");
      mark.style.color = `var(--${split})`;
      return {
        node: createElement("span", { class: "key" }, mark, ...(lines.length > 1 ? [t(text)] : []), value),
        value,
      };
    });
    const canvas = createElement("canvas", { "aria-hidden": "true" });
    const caption = createElement("figcaption", {}, createElement("h4", {}, t(name)), ...legend.map((one) => one.node));
    const figure = createElement(
      "figure",
      { "class": large ? "chart large" : "chart", "data-chart": name },
      caption,
      canvas,
    );
    $(".charts").append(figure);
    return { name, unit, lines, keys: legend, canvas, chart: new Chart(canvas) };
  });

  // ---- asking -----------------------------------------------------------------------------------------------------
  function select() {
    const value = props.value;
    if (value?.run === run?.run && value?.ticket === run?.ticket && value?.seq === run?.seq) return;
    run = value?.run ? value : null;
    mine += 1;
    series = { train: new Series(), val: new Series(), test: new Series() };
    head = null;
    offset = failures = 0;
    logOffset = null;
    cursor = null;
    output.textContent = "";
    root.dataset.state = run ? "loading" : "empty";
    $(".message").textContent = run ? t("loading") : t("none");
    tick();
  }

  const inSight = () => element.isConnected && !document.hidden && root.offsetParent !== null;
  const ended = () => head && ENDED.has(head.state) && !head.more;

  /** Once a second: ask, unless nobody looks, an answer is still out, or the run has ended and all of it is here. */
  function tick() {
    const address = addressInSight(location.href, run, root.offsetParent !== null);
    if (address) history.replaceState(history.state, "", address);
    if (!run || waiting || !inSight() || ended() || root.dataset.state === "error") return;
    if (failures && failures % Math.min(2 ** Math.floor(failures / 3), 8))
      failures += 1; // ever more rarely
    else ask();
  }

  async function ask() {
    const asked = mine;
    waiting = true;
    try {
      const answer = await server.tail({ run: run.run, ticket: run.ticket, offset, log_offset: logOffset });
      if (asked === mine) receive(answer);
    } catch {
      if (asked === mine) missed();
    } finally {
      waiting = false;
    }
    if (asked !== mine || (head?.more && !failures)) tick();
  }

  function missed() {
    failures += 1;
    reason(t("unreachable"));
  }

  function receive(answer) {
    failures = 0;
    if (answer.error) {
      root.dataset.state = "error";
      $(".message").textContent = answer.gone ? t("gone") : answer.error;
      return;
    }
    for (const [split, step, epoch, seconds, values] of answer.rows) {
      const row = { step, epoch, seconds };
      for (const [name, value] of Object.entries(values)) row[name] = value ?? NaN;
      series[split].add(row);
    }
    const before = head?.state ?? run.state;
    head = answer;
    offset = answer.offset;
    logOffset = answer.log_offset;
    if (answer.log) log(answer.log);
    root.dataset.state = "ready";
    root.dataset.runState = head.state;
    root.dataset.seq = Number(root.dataset.seq) + 1;
    $(".message").textContent = "";
    showHead();
    paint();
    if (before === head.state) return;
    spoken.textContent = t("now", { name: head.name, state: t(head.state) });
    trigger("moved", { run: run.run }); // what else names its state is told
  }

  async function stop() {
    const asked = mine;
    $(".stop").disabled = true;
    try {
      const answer = await server.stop({ run: run.run, ticket: run.ticket });
      if (asked !== mine) return;
      if (answer.error) reason(localise(answer.error, lang));
      else {
        head = { ...head, state: answer.state, reason: "" };
        showHead();
        await ask();
      }
    } catch {
      if (asked === mine) missed();
    } finally {
      $(".stop").disabled = false;
    }
  }

  // ---- words and numbers ------------------------------------------------------------------------------------------
  function reason(text) {
    $(".reason").hidden = !text;
    setText($(".reason"), text);
  }

  function showHead() {
    const { state, progress = {}, facts: known = {} } = head,
      over = ENDED.has(state);
    setText($(".name"), head.name);
    setText($(".state"), t(state));
    setText(
      $(".meta"),
      [known.recipe, known.data, known.model, progress.device ?? known.device].filter(Boolean).join(" · "),
    );
    reason(
      localise(head.reason, lang) ||
        { queued: t("queued_why"), stopping: t("stopping_why"), running: describePhase(progress, t, lang) }[state] ||
        "",
    );
    $(".stop").hidden = over || state === "stopping";
    $(".resume").hidden = state !== "stopped" && state !== "failed";
    const part = state === "finished" ? 1 : progressShare(progress);
    $(".progress i").style.width = `${(100 * part).toFixed(1)}%`;
    $(".progress").setAttribute("aria-valuenow", (100 * part).toFixed(0));
    const best = Math.max(...(series.val.columns.accuracy ?? []).filter(Number.isFinite), -1);
    const step = progress.step ?? series.train.last("step");
    fact("step", formatOf(step, progress.steps, t));
    fact(
      "epoch",
      formatOf(
        roundEpoch(progress.epoch ?? series.train.last("epoch")),
        progress.epochs && roundEpoch(progress.epochs),
        t,
      ),
    );
    fact("elapsed", formatDuration(progress.seconds ?? series.train.last("seconds"), t));
    fact("left", over || state === "queued" ? "–" : formatDuration(progress.seconds_left ?? NaN, t));
    fact("rate", formatRate(progress.images_per_second ?? series.train.last("images_per_second")));
    fact("batch", formatBatch(progress.batch ?? known.batch, progress.accumulation ?? known.accumulation));
    fact("memory_used", formatBytes(progress.memory_bytes ?? series.train.last("memory_bytes")));
    fact("best", best >= 0 ? `${(100 * best).toFixed(2)}%` : "–");
    if (series.test.length) fact("test_accuracy", `${(100 * series.test.last("accuracy")).toFixed(2)}%`);
    else if (facts.test_accuracy) fact("test_accuracy", "–");
  }

  function fact(name, text) {
    if (!facts[name]) {
      facts[name] = createElement("dd", { "data-fact": name });
      $(".facts").append(createElement("div", {}, createElement("dt", {}, t(name)), facts[name]));
    }
    setText(facts[name], text);
  }

  /**
   * The newest lines of the output, in sight at the bottom unless somebody has scrolled up. A carriage return starts
   * its line over, as progress bars do.
   */
  function log(text) {
    const atEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
    const kept = (output.textContent + text).replace(/\r\n/g, "\n").replace(/^.*\r(?=.)/gm, "");
    output.textContent =
      kept.length > LOG_CHARACTERS ? kept.slice(kept.indexOf("\n", kept.length - LOG_CHARACTERS) + 1) : kept;
    if (atEnd) output.scrollTop = output.scrollHeight;
  }

  // ---- drawing ----------------------------------------------------------------------------------------------------
  const places = (one) =>
    axis === "seconds" ? one.columns.seconds.map((seconds) => seconds / minute()) : one.columns[axis];
  const minute = () => (longest() >= 300 ? 60 : 1); // seconds on the time axis become minutes
  const longest = () => Math.max(...Object.values(series).map((one) => one.last("seconds") || 0), 0);

  function draw() {
    if (!run || !head || !inSight()) return;
    const style = getComputedStyle(root),
      colour = (name) => style.getPropertyValue(name).trim();
    const colours = { ink: colour("--ink"), quiet: style.color, line: colour("--line") };
    const at = Object.fromEntries(Object.entries(series).map(([split, one]) => [split, places(one)]));
    const ends = Object.values(at).map((list) => list[list.length - 1] ?? 0);
    const range = [0, Math.max(...ends, axis === "step" ? 1 : 1e-3)];
    const keep = Number($(".smoothing").value);
    for (const { name, unit, lines, keys, chart } of charts) {
      const drawn = [];
      lines.forEach(([split, value, , { raw, dots }], i) => {
        const one = series[split],
          factor = UNITS[unit] ?? 1,
          scaled = (list) => (factor === 1 ? list : list.map((v) => v * factor));
        const column = one.columns[value] ?? [],
          shown = raw && keep > 0 ? one.smoothed(value, keep) : column;
        if (raw && keep > 0)
          drawn.push({ x: at[split], y: scaled(column), colour: colour(`--${split}`), width: 1, alpha: 0.28 });
        drawn.push({ x: at[split], y: scaled(shown), colour: colour(`--${split}`), dots });
        keys[i].node.hidden = lines.length > 1 && !one.length;
        if (lines.length > 1 && !column.some(Number.isFinite)) keys[i].node.hidden = true;
        setText(keys[i].value, reading(one, shown, unit));
      });
      const position = cursor === null ? null : placeOf(cursor);
      chart.draw(drawn, range, {
        log: name === "loss" && $(".log-scale").checked,
        floor: floorOf(name),
        cursor: position,
        colours,
        font: style.fontFamily,
        percent: unit === "percent",
      });
    }
  }
  const paint = oncePerFrame(draw);

  /** Where a step lies on the axis in use. */
  function placeOf(step) {
    for (const one of [series.train, series.val]) {
      const i = nearest(one.columns.step, step);
      if (i >= 0) return places(one)[i];
    }
    return null;
  }

  /** A line's value at the cursor, else its latest. */
  function reading(one, values, unit) {
    if (!one.length) return "–";
    const i = cursor === null ? values.findLastIndex(Number.isFinite) : nearest(one.columns.step, cursor);
    const value = i < 0 ? NaN : values[i];
    if (!Number.isFinite(value)) return "–";
    if (unit === "percent") return `${(100 * value).toFixed(1)}%`;
    if (unit === "gib") return formatBytes(value);
    return Math.abs(value) >= 0.001 && Math.abs(value) < 10
      ? value.toFixed(Math.abs(value) < 0.1 ? 4 : 3)
      : shortNumber(value);
  }

  function point(step) {
    cursor = step;
    if (step !== null) {
      const said = charts
        .slice(0, 2)
        .flatMap(({ name, keys, lines }) =>
          lines
            .map(([, , text], i) => (keys[i].node.hidden ? "" : `${t(text)} ${t(name)} ${keys[i].value.textContent}`))
            .filter(Boolean),
        );
      requestAnimationFrame(() => (spoken.textContent = `${t("step")} ${step}: ${said.join(", ")}`));
    }
    paint();
  }

  /** The main line that the cursor runs along: training, else held-out. */
  const guide = () => (series.train.length ? series.train : series.val);

  function hover(event) {
    const one = charts.find(({ canvas }) => canvas === event.target);
    const x = one?.chart.at(event),
      steps = guide().columns.step;
    if (x === undefined || x === null || !steps.length) return;
    cursor = steps[nearest(places(guide()), x)];
    paint();
  }

  function key(event) {
    const steps = guide().columns.step,
      at = cursor === null ? steps.length - 1 : nearest(steps, cursor);
    const by = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(steps.length / 200));
    const to = { ArrowLeft: at - by, ArrowRight: at + by, Home: 0, End: steps.length - 1 }[event.key];
    if (event.key === "Escape") point(null);
    else if (to === undefined || !steps.length) return;
    else point(steps[Math.min(Math.max(to, 0), steps.length - 1)]);
    event.preventDefault();
  }

  // ---- wiring -----------------------------------------------------------------------------------------------------
  addSegments(
    $(".axes"),
    ["step", "epoch", "seconds"],
    axis,
    (name) => t(`axis_${name}`),
    (name) => {
      axis = name;
      paint();
    },
  );
  const smoothing = () => {
    $("output.number").textContent = Number($(".smoothing").value).toFixed(2);
    paint();
  };
  $(".smoothing").addEventListener("input", smoothing);
  smoothing();
  $(".log-scale").addEventListener("change", paint);
  $(".stop").addEventListener("click", stop);
  $(".resume").addEventListener("click", () => trigger("resume")); // Python knows who asks
  $(".copy").addEventListener("click", async () => {
    const address = linkToRun(location.href, run);
    if (await copyText($(".copy"), address, t)) spoken.textContent = t("copied");
    else reason(address); // there to be copied by hand
  });
  $(".charts").addEventListener("pointermove", hover);
  $(".charts").addEventListener("pointerdown", hover);
  $(".charts").addEventListener("pointerleave", () => point(null));
  $(".charts").addEventListener("keydown", key);
  listen(element, "visibilitychange", () => {
    if (!document.hidden && run && !waiting && root.dataset.state !== "error") ask();
  });

  followLook(root, paint);
  const timer = setInterval(() => (element.isConnected ? tick() : clearInterval(timer)), TICK);
  watch("value", select);
  select();
}
