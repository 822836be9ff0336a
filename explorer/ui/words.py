"""The page's words in English and Chinese, and the visitor's language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import gradio as gr

from explorer.ui.method_words import method_words


def _read(folder: Path) -> dict[str, dict[str, str]]:
    """Merge the words.json of every folder below this one; a key stands in one file only."""
    read: dict[str, dict[str, str]] = {"en": {}, "zh": {}}
    for file in sorted(folder.rglob("words.json")):
        for language, words in json.loads(file.read_text("utf-8")).items():
            if twice := read[language].keys() & words.keys():
                raise ValueError(f"{file.relative_to(folder)} repeats {', '.join(sorted(twice))}")
            read[language] |= words
    return read


def _method_names() -> dict[str, dict[str, str]]:
    """ "method_NAME" for every method of explanation, as the Explain viewer calls it, and the words of its choices."""
    return {
        language: {
            key.replace("name_", "method_", 1): text
            for key, text in words.items()
            if key.startswith(("name_", "choice_"))
        }
        for language, words in method_words().items()
    }


TEXT = {language: words | _method_names()[language] for language, words in _read(Path(__file__).parents[1]).items()}
LANGUAGE_COOKIE = "vit_explorer_language"  # written by head.html

_PREFIX = "vit_"  # Gradio translates any string of the page that equals a key, the value of a dropdown too
TRANSLATIONS = gr.I18n(**{code: {} for code in ("en", "zh-CN", "zh-TW")})
"""The texts that the page uses by `words`, for `launch`. Gradio shows Chinese to these two locales alone."""


def add_words(texts: dict[str, dict[str, str]]) -> None:
    """Add the words of what is defined elsewhere: language -> key -> text. A key stands in one place only."""
    for language, added in texts.items():
        if twice := TEXT[language].keys() & added.keys():
            raise ValueError(f"{', '.join(sorted(twice))} had words already")
        TEXT[language] |= added


def words(key: str) -> str:
    """Return a text that the browser fills in, in the visitor's language. For building the page, which carries the
    texts; what the server writes later comes from `say`."""
    for code, texts in TRANSLATIONS.translations_dict.items():
        texts[_PREFIX + key] = TEXT[code[:2]][key]
    return cast(str, TRANSLATIONS(_PREFIX + key))  # I18nData, which Gradio takes where its types say str


def language_of(request: gr.Request | None) -> str:
    """Return "zh" or "en": the visitor's choice on the page, else the first language their browser asks for."""
    if request is None or request.request is None:
        return "en"
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in TEXT:
        return chosen
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def say(request: gr.Request | None, key: str, **values: object) -> str:
    """Return one text in the visitor's language, for what the server writes."""
    return TEXT[language_of(request)][key].format(**values)


def say_both(key: str, **values: object) -> dict[str, str]:
    """Return one text in both languages, for components that choose in the browser. A value may itself be in both."""

    def of(value: object, language: str) -> object:
        return value[language] if isinstance(value, dict) else value

    return {
        language: TEXT[language][key].format(**{name: of(value, language) for name, value in values.items()})
        for language in TEXT
    }
