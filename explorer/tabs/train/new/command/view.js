// The command for the form above, and marks on the boxes that differ from the recipe.
import { copyText } from "../../../../viewer/kit/scripts/controls.js";
import { setText } from "../../../../viewer/kit/scripts/nodes.js";

/** @param {import("../../../../viewer/kit/scripts/mount.js").Context} context */
export function mount({ root, props, watch, t }) {
  const $ = (selector) => root.querySelector(selector);

  /** Rules instead of classes: boxes in a folded group come to the page only when it is opened. */
  function marks({ changed, groups, problem }) {
    const box = (name) => `#field-${CSS.escape(name)}`;
    const rules = changed.map(
      (name) => `${box(name)} { --changed: 1; box-shadow: inset 3px 0 0 var(--color-accent); }`,
    );
    for (const [group, names] of Object.entries(groups)) {
      const count = changed.filter((name) => names.includes(name)).length;
      if (count)
        rules.push(
          `#group-${CSS.escape(group)} > button > span:first-child::after { content: ${JSON.stringify(t("changed", { count }))}; ` +
            "margin-left: 10px; font-size: 12.5px; color: var(--color-accent); }",
        );
      if (problem && names.includes(problem.field))
        rules.push(`#group-${CSS.escape(group)} > button { color: #b3261e; }`);
    }
    if (problem?.field) rules.push(`${box(problem.field)} { box-shadow: inset 3px 0 0 #b3261e; }`);
    return rules.join("\n");
  }

  function show() {
    const value = props.value;
    if (!value) return;
    $(".marks").textContent = marks(value);
    $(".problem").hidden = !value.problem;
    setText($(".problem"), value.problem?.text ?? "");
    if (value.command) setText($("pre"), value.command);
    root.toggleAttribute("data-stale", Boolean(value.problem));
    setText($(".quiet"), value.changed.length ? t("differs", { count: value.changed.length }) : t("as_recipe"));
    root.dataset.state = value.problem ? "error" : "ready";
    root.dataset.seq = Number(root.dataset.seq) + 1;
  }

  $(".copy").addEventListener("click", async () => {
    // One key copies it.
    if (!(await copyText($(".copy"), $("pre").textContent, t))) getSelection().selectAllChildren($("pre"));
  });
  watch("value", show);
  show();
}
