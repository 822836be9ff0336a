// The top classes of every state as a table of shades.
import { createElement } from "../../viewer/kit/scripts/nodes.js";
import { formatNumber } from "../../viewer/kit/scripts/numbers.js";

/** Fill the table of `view`; a click on a row calls choose({state}). */
export function buildTable({ view, part, choose, labelOf, stateName }) {
  const { value, numbers } = view;
  part.lens.hidden = !value.lens;
  if (!value.lens) return;
  const rows = value.lens.top.map((top, state) => {
    const button = createElement("button", { type: "button" }, stateName(state));
    button.addEventListener("click", () => choose({ state }, true));
    const row = createElement("tr", {}, createElement("th", { scope: "row" }, button));
    for (const [index, probability] of top) {
      const swatch = createElement("i", { class: "swatch" }),
        label = labelOf(index);
      swatch.style.background = numbers.colourOf.has(index) ? `#${numbers.colour(index)}` : "transparent";
      const cell = createElement(
        "td",
        { title: `${label} · ${formatNumber(probability, "percent")}` },
        createElement(
          "span",
          {},
          swatch,
          createElement("span", { class: "label" }, label),
          createElement("span", { class: "vit-number" }, formatNumber(probability, "percent")),
        ),
      );
      cell.style.setProperty("--share", `${(65 * probability).toFixed(1)}%`);
      row.append(cell);
    }
    row.addEventListener("click", (event) => {
      if (!event.target.closest("button")) choose({ state });
    });
    return row;
  });
  part.rows.replaceChildren(...rows);
}

export function markTableRow(part, state) {
  [...part.rows.children].forEach((row, index) => {
    if (index === state) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
}
