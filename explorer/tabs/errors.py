"""Errors as a visitor reads them: plain words, shown as text, in a message that lasts; earlier results stay."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import wraps

import gradio as gr
import torch

from explorer.tabs.text import say


def said_plainly(function: Callable) -> Callable:
    """Turn the errors that users can cause (ValueError and its kin, memory, files) into a `gr.Error`. Faults of our own
    stay what they are. The function's positional arguments include its `request: gr.Request` (for the language)."""

    @wraps(function)
    def wrapper(*args, **kwargs):
        request = next((argument for argument in args if isinstance(argument, gr.Request)), None)
        try:
            return function(*args, **kwargs)
        except (ValueError, OSError) as error:
            raise plain_error(say(request, "failed", reason=str(error))) from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise plain_error(say(request, "memory")) from error

    return wrapper


def plain_error(message: str) -> gr.Error:
    """A `gr.Error` shown as text (toasts render HTML), for a minute, as it may hold a command to copy."""
    return gr.Error(html.escape(message, quote=False), duration=60, print_exception=False)
