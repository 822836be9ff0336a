// What a viewer says in its picture's place: that it is empty, loading, failed or expired.
import { Expired } from "./fetching.js";
import { createElement, setText } from "./nodes.js";

/** @typedef {import("./words.js").Translate} Translate */

/**
 * Show "empty", "loading", "ready", "error" or "expired": in the picture's place where there is nothing to look at yet,
 * else in `part.notice`.
 * @param {HTMLElement} root
 * @param {Record<string, any>} part with `message` and `notice`
 * @param {Translate} t
 * @param {string} state
 * @param {boolean} covered whether there is nothing to look at yet
 * @param {string} [message]
 */
export function showState(root, part, t, state, covered, message = covered ? t(state) : "") {
  root.dataset.state = state;
  setText(part.message, covered ? message : "");
  part.message.hidden = !covered;
  setText(part.notice, covered ? "" : message);
  part.notice.hidden = covered || !message;
  if (state === "empty") showEmpty(part.message, t);
}

/**
 * Say why a viewer has no value: base.css shows the sentence that is true of the page's picture.
 * @param {Element} message
 * @param {Translate} t
 */
export function showEmpty(message, t) {
  const sentences = { "on-its-way": "loading", "none-chosen": "empty", "not-made": "not_made" };
  message.replaceChildren(
    ...Object.entries(sentences).map(([name, key]) => createElement("span", { class: name }, t(key))),
  );
}

/**
 * The state and the sentence for an error of loading: "expired" where the server no longer has it, else "error".
 * @param {unknown} error
 * @param {Translate} t
 * @param {{expired?: string, error?: string}} keys of the sentences
 * @returns {{state: "expired" | "error", message: string}}
 */
export function describeFailure(error, t, { expired = "expired", error: failed = "error" } = {}) {
  if (error instanceof Expired) return { state: "expired", message: t(expired) };
  return { state: "error", message: t(failed, { reason: error instanceof Error ? error.message : String(error) }) };
}
