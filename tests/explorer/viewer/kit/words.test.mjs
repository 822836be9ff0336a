// Two languages: which one, and how a text is filled in.
import assert from "node:assert/strict";
import test from "node:test";

import { chooseLanguage, localise, translator } from "../../../../explorer/viewer/kit/scripts/words.js";

const browserSays = (language) =>
  Object.defineProperty(globalThis, "navigator", { value: { language }, configurable: true });

test("a component's own language stands before the browser's, and English is for all who do not read Chinese", () => {
  browserSays("zh-TW");
  assert.deepEqual([chooseLanguage(null), chooseLanguage("en"), chooseLanguage("fr")], ["zh", "en", "zh"]);
  browserSays("de-DE");
  assert.deepEqual([chooseLanguage(undefined), chooseLanguage("zh")], ["en", "zh"]);
  browserSays(undefined);
  assert.equal(chooseLanguage(null), "en");
});

test("a caption in the page's language, or in the one that there is", () => {
  assert.equal(localise({ en: "map", zh: "图" }, "zh"), "图");
  assert.equal(localise({ en: "map" }, "zh"), "map");
  assert.equal(localise("both", "zh"), "both");
  assert.deepEqual(
    [localise(null, "en"), localise(undefined, "en"), localise(3, "en"), localise({}, "en")],
    ["", "", "3", ""],
  );
});

test("texts are filled in, and English stands in for what is not translated", () => {
  const words = { en: { at: "row {row}, {row} of {rows}", only: "English" }, zh: { at: "第 {row} 行" } };
  assert.equal(translator(words, "en")("at", { row: 2, rows: 5 }), "row 2, 2 of 5");
  assert.equal(translator(words, "zh")("at", { row: 2 }), "第 2 行");
  assert.equal(translator(words, "zh")("only"), "English");
});

test("a value with braces or dollars is put in as it is", () => {
  const t = translator({ en: { name: "{name}!" }, zh: {} }, "en");
  for (const name of ["$&", "{name}", "<b>"]) assert.equal(t("name", { name }), `${name}!`);
});

test("a text that does not exist is named", () => {
  assert.throws(() => translator({ en: {}, zh: {} }, "en")("missing"), { message: 'there is no text for "missing"' });
});
