// The table of runs.
import { createElement, setText } from "../../../viewer/kit/scripts/nodes.js";
import { formatDuration } from "../../../viewer/kit/scripts/numbers.js";
import { localise } from "../../../viewer/kit/scripts/words.js";

const MOST = 6; // runs in one overlay
const LIVE = new Set(["queued", "running", "stopping"]);
const COLUMNS = ["compare", "name", "state", "setup", "step", "best", "test", "started", "actions"];

const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(2)}%`);

/** @param {import("../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ element, root, props, trigger, watch, lang, t }) {
  const find = (selector) => root.querySelector(selector);
  const rows = new Map(); // run id -> {node, parts, row}
  const ticked = new Set();
  let opened = null; // what the person chose last, before the server has said so too
  let asked = null; // the run that the open dialog asks about

  for (const key of COLUMNS) {
    const head = createElement("th", { scope: "col", role: "columnheader" }, t(key));
    if (["step", "best", "test"].includes(key)) head.classList.add("number");
    if (key === "best" || key === "test") head.title = t(`${key}Title`);
    find("thead tr").append(head);
  }
  const count = (value) => (value === null ? "–" : value.toLocaleString(lang));
  const moment = new Intl.DateTimeFormat(lang === "zh" ? "zh-CN" : "en-GB", { dateStyle: "short", timeStyle: "short" });

  function button(cls, key, act) {
    const node = createElement("button", { type: "button", class: cls }, t(key));
    node.addEventListener("click", act);
    return node;
  }

  function makeRow(id) {
    const cell = (cls, key, ...children) => {
      const node = createElement("td", { class: cls, role: "cell" }, ...children);
      if (key) node.dataset.name = t(key);
      return node;
    };
    const entry = { id, renaming: false };
    const tick = createElement("input", { type: "checkbox" });
    tick.addEventListener("change", () => choose(entry, tick));
    const open = createElement("button", { type: "button", class: "open" });
    open.addEventListener("click", () => {
      mark(id);
      trigger("open", { run: id });
    });
    const reason = createElement("span", { class: "reason" });
    const state = createElement("span", { class: "state" });
    const rename = button("rename", "rename", () => startRenaming(entry));
    // Once of a double click.
    const resume = button("resume", "resume", ({ detail }) => detail < 2 && trigger("resume", { run: id }));
    const remove = button("remove", "remove", () => confirmRemoval(entry));
    const parts = { tick, open, reason, state, rename, resume, remove };
    parts.naming = createElement("div", { class: "naming" }, open, reason);
    const cells = [cell("tick", "", tick), cell("name-cell", "", parts.naming), cell("state-cell", "", state)];
    for (const key of ["recipe", "data", "model", "started", "seconds"])
      parts[key] = createElement("span", { class: key });
    for (const key of ["step", "best", "test"]) parts[key] = cell("number", key);
    const setup = cell("setup", "setup", parts.recipe, parts.data, parts.model);
    cells.push(setup, parts.step, parts.best, parts.test, cell("when", "started", parts.started, parts.seconds));
    entry.parts = parts;
    entry.node = createElement(
      "tr",
      { "role": "row", "data-run": id },
      ...cells,
      cell("actions", "", rename, resume, remove),
    );
    return entry;
  }

  function fill(entry, row) {
    const { parts } = entry,
      name = row.name;
    entry.row = row;
    setText(parts.open, name);
    parts.open.setAttribute("aria-label", t("open", { name }));
    setText(parts.reason, localise(row.reason, lang));
    setText(parts.state, t(row.state));
    parts.state.dataset.kind = row.state;
    for (const key of ["recipe", "data", "model"]) {
      setText(parts[key], row[key]);
      parts[key].title = `${t(key)}: ${row[key]}`;
    }
    setText(parts.step, row.steps === null ? count(row.step) : `${count(row.step)} / ${count(row.steps)}`);
    setText(parts.best, percent(row.best));
    setText(parts.test, percent(row.test));
    setText(parts.started, row.started === null ? "–" : moment.format(1000 * row.started));
    setText(parts.seconds, formatDuration(row.seconds, t));
    parts.tick.setAttribute("aria-label", t("compareRun", { name }));
    parts.rename.setAttribute("aria-label", t("renameRun", { name }));
    parts.resume.setAttribute("aria-label", t("resumeRun", { name }));
    parts.remove.setAttribute("aria-label", t("removeRun", { name }));
    parts.rename.disabled = row.state === "damaged";
    parts.tick.disabled = row.state === "damaged";
    parts.resume.hidden = !row.resumable;
    parts.remove.disabled = row.state === "running" || row.state === "stopping";
    parts.remove.title = parts.remove.disabled ? t("live") : "";
  }

  function mark(id) {
    opened = id;
    for (const entry of rows.values()) {
      entry.node.classList.toggle("opened", entry.id === id);
      if (entry.id === id) entry.parts.open.setAttribute("aria-current", "true");
      else entry.parts.open.removeAttribute("aria-current");
    }
  }

  function choose(entry, tick) {
    if (tick.checked && ticked.size >= MOST) {
      tick.checked = false;
      find(".message").textContent = t("most", { most: MOST });
      return;
    }
    if (tick.checked) ticked.add(entry.id);
    else ticked.delete(entry.id);
    trigger("compare", { runs: [...ticked] });
  }

  function startRenaming(entry) {
    if (entry.renaming) return;
    entry.renaming = true;
    const { name } = entry.row;
    const input = createElement("input", { "type": "text", "maxlength": "120", "aria-label": t("newName", { name }) });
    input.value = name;
    const end = (save) => {
      entry.renaming = false;
      form.replaceWith(entry.parts.naming);
      entry.parts.rename.focus();
      if (save && input.value.trim() && input.value !== name) trigger("rename", { run: entry.id, name: input.value });
    };
    const form = createElement(
      "div",
      { class: "renaming" },
      input,
      button("save", "save", () => end(true)),
      button("cancel", "cancel", () => end(false)),
    );
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === input && !event.isComposing) end(true);
      else if (event.key === "Escape") end(false);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    entry.parts.naming.replaceWith(form);
    input.focus();
    input.select();
  }

  const dialog = find(".confirm");
  function confirmRemoval(entry) {
    asked = entry;
    find(".question").textContent = t("question", { name: entry.row.name });
    dialog.showModal();
    find(".keep").focus();
  }
  find(".keep").addEventListener("click", () => dialog.close());
  find(".delete").addEventListener("click", () => {
    dialog.close();
    trigger("remove", { run: asked.id });
  });
  dialog.addEventListener("close", () => asked?.parts.remove.isConnected && asked.parts.remove.focus());

  function show() {
    const value = props.value;
    if (!value) return;
    const body = find("tbody"),
      known = new Set(value.rows.map((row) => row.id));
    for (const [id, entry] of rows) {
      if (known.has(id)) continue;
      entry.node.remove();
      rows.delete(id);
    }
    value.rows.forEach((row, at) => {
      let entry = rows.get(row.id);
      if (!entry) {
        entry = makeRow(row.id);
        rows.set(row.id, entry);
      }
      fill(entry, row);
      // What is in place keeps its focus.
      if (body.children[at] !== entry.node) body.insertBefore(entry.node, body.children[at] ?? null);
    });
    const gone = [...ticked].filter((id) => !known.has(id));
    if (gone.length) {
      gone.forEach((id) => ticked.delete(id));
      trigger("compare", { runs: [...ticked] });
    }
    mark(value.opened ?? opened);
    const empty = value.rows.length === 0;
    setText(find(".message"), empty ? t("empty") : value.more ? t("more", { count: value.more }) : "");
    root.dataset.state = empty ? "empty" : "ready";
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  // ---- unobtrusive refreshing: only while in sight, and the server answers only where something has changed -------
  let last = 0;
  const timer = setInterval(() => {
    if (!element.isConnected) return clearInterval(timer);
    const pause = [...rows.values()].some(({ row }) => LIVE.has(row.state)) ? 3000 : 8000;
    if (document.visibilityState !== "visible" || !root.offsetParent || dialog.open || Date.now() - last < pause)
      return;
    refresh();
  }, 500);
  function refresh() {
    last = Date.now();
    trigger("refresh", { stamp: props.value?.stamp ?? "" });
  }
  watch("value", show);
  show();
  refresh();
}
