// Fills the bar from props.value = {seq, top: [[label, probability], ...], card, note}. Text only ever goes in by textContent.
const root = element.querySelector(".scene-bar");
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};

function show() {
  const value = props.value;
  if (!value) return;
  const items = value.top.map(([label, probability]) => {
    const item = make("li", "");
    item.title = label;
    const bar = make("span", "bar");
    bar.style.width = `${(100 * probability).toFixed(1)}%`;
    item.append(make("span", "label", label), make("span", "percent", `${(100 * probability).toFixed(1)} %`), bar);
    return item;
  });
  root.querySelector(".predictions").replaceChildren(...items);
  root.querySelector(".card").textContent = value.card;
  root.querySelector(".note").textContent = value.note;
  root.dataset.seq = value.seq;
  root.dataset.state = "ready";
}

watch("value", show);
show();
