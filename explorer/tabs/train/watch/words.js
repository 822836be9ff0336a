// Numbers of a run as people read them. In scope when they are called: `t` and `lang` of train_live.js, base.js's `vit`.
/** 75 -> "1 min 15 s", as short as it may be. */
function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds), [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? t("hours", { h, m }) : m ? t("minutes", { m, s }) : t("seconds", { s });
}

/** What the worker does besides training; "" while it trains. */
function doing({ phase, note: told }) {
  const note = vit.localise(told, lang);
  const known = ["loading", "evaluating", "testing", "saving"].includes(phase) ? t(`phase_${phase}`) : "";
  return known && note ? `${known}: ${note}` : phase === "loading" ? known : note || "";
}

/** How much of the run is behind us, 0 to 1: by steps, else by time. */
function share({ step, steps, seconds, seconds_left: left }) {
  if (steps > 0) return Math.min(1, step / steps);
  return seconds >= 0 && left >= 0 && seconds + left > 0 ? seconds / (seconds + left) : 0;
}
const of = (value, all) => (Number.isFinite(Number(value)) ? (all ? t("of", { value, all }) : String(value)) : "–");
const decimals = (value) => (Number.isFinite(value) ? Number(value.toFixed(value < 10 ? 2 : 1)) : NaN);
const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–");
const bytes = (value) => (value > 0 ? (value >= 2 ** 30 ? `${number(value / 2 ** 30)} GiB` : `${number(value / 2 ** 20)} MiB`) : "–");
const batch = (size, parts) => (!size ? "–" : parts > 1 ? `${size} = ${parts} × ${size / parts}` : String(size));
