// The top classes of every state as a table of shades. In scope of inside.js: part, t, vit, view, choose, labelOf, stateName.
function buildTable() {
  const { value, numbers } = view;
  part.lens.hidden = !value.lens;
  if (!value.lens) return;
  const rows = value.lens.top.map((top, state) => {
    const button = vit.element("button", { type: "button" }, stateName(state));
    button.addEventListener("click", () => choose({ state }, true));
    const row = vit.element("tr", {}, vit.element("th", { scope: "row" }, button));
    for (const [index, probability] of top) {
      const swatch = vit.element("i", { class: "swatch" }), label = labelOf(index);
      swatch.style.background = numbers.colourOf.has(index) ? `#${numbers.colour(index)}` : "transparent";
      const cell = vit.element("td", { title: `${label} · ${vit.number(probability, "percent")}` },
        vit.element("span", {}, swatch, vit.element("span", { class: "label" }, label),
          vit.element("span", { class: "vit-number" }, vit.number(probability, "percent"))));
      cell.style.setProperty("--share", `${(65 * probability).toFixed(1)}%`);
      row.append(cell);
    }
    row.addEventListener("click", (event) => { if (!event.target.closest("button")) choose({ state }); });
    return row;
  });
  part.rows.replaceChildren(...rows);
}

function markTableRow(state) {
  [...part.rows.children].forEach((row, index) => {
    if (index === state) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
}
