const chinese = navigator.language.toLowerCase().startsWith("zh");
const text = props.text[chinese ? "zh" : "en"];
element.querySelector(".tagline").textContent = text.tagline;
const link = element.querySelector(".language");
link.textContent = text.other_language;
const other = chinese ? "en" : "zh";
link.href = `?lang=${other}`;
link.addEventListener("click", (event) => { // by a reload, which keeps picture, model, tab and the run in the address
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(location.href);
  address.searchParams.delete("lang");
  history.replaceState(history.state, "", address);
  localStorage.setItem("vit_explorer_language", other);
  location.reload();
});
