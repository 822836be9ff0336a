// The command for the form above, and marks on the boxes that differ from the recipe. In scope: TEXT, `vit`; from Gradio:
// element, props, watch.
const root = element.querySelector(".command"), $ = (selector) => root.querySelector(selector);
const t = vit.translator(TEXT, vit.language(props.lang));
vit.fillText(root, t);

/** Rules instead of classes: boxes in a folded group come to the page only when it is opened. */
function marks({ changed, groups, problem }) {
  const box = (name) => `#field-${CSS.escape(name)}`;
  const rules = changed.map((name) => `${box(name)} { --changed: 1; box-shadow: inset 3px 0 0 var(--color-accent); }`);
  for (const [group, names] of Object.entries(groups)) {
    const count = changed.filter((name) => names.includes(name)).length;
    if (count) rules.push(`#group-${CSS.escape(group)} > button > span:first-child::after { content: ${JSON.stringify(t("changed", { count }))}; `
      + "margin-left: 10px; font-size: 12.5px; color: var(--color-accent); }");
    if (problem && names.includes(problem.field)) rules.push(`#group-${CSS.escape(group)} > button { color: #b3261e; }`);
  }
  if (problem?.field) rules.push(`${box(problem.field)} { box-shadow: inset 3px 0 0 #b3261e; }`);
  return rules.join("\n");
}

function show() {
  const value = props.value;
  if (!value) return;
  $(".marks").textContent = marks(value);
  $(".problem").hidden = !value.problem;
  vit.setText($(".problem"), value.problem?.text ?? "");
  if (value.command) vit.setText($("pre"), value.command);
  root.toggleAttribute("data-stale", Boolean(value.problem));
  vit.setText($(".quiet"), value.changed.length ? t("differs", { count: value.changed.length }) : t("as_recipe"));
  root.dataset.state = value.problem ? "error" : "ready";
  root.dataset.seq = Number(root.dataset.seq) + 1;
}

$(".copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("pre").textContent);
    $(".copy").textContent = t("copied");
    setTimeout(() => ($(".copy").textContent = t("copy")), 2000);
  } catch { // no permission: selected, so that one key copies it
    getSelection().selectAllChildren($("pre"));
  }
});
watch("value", show);
show();
