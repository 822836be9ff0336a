const chinese = navigator.language.toLowerCase().startsWith("zh");
const text = props.text[chinese ? "zh" : "en"];
element.querySelector(".tagline").textContent = text.tagline;
const link = element.querySelector(".language");
link.textContent = text.other_language;
link.href = `?lang=${chinese ? "en" : "zh"}`;
