"""Errors for visitors: in plain words and their language, shown as text, while earlier results stay."""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial, wraps

import gradio as gr
import torch

from explorer.session.turns import StoppedError, Visitor
from explorer.ui.translation import translate
from explorer.ui.visitors.visitor import each_for, visiting, visitor_of
from explorer.ui.words import language_of, say
from vit_model.messages import message_of


def plain_errors(function: Callable, as_html: bool = True) -> Callable:
    """Turn the errors that users can cause (ValueError and its kin, memory, files) into a `gr.Error`. Faults of our own
    stay what they are. The function's positional arguments include its `request: gr.Request` (for the language). A
    generator stays one, and where it yields nothing, changes nothing: Gradio would empty its outputs. `as_html`: the
    page shows the message, as HTML; `plain_api_errors` is for endpoints of programs, which get it as it is."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def steps(*args, **kwargs):
            yielded = False
            with _in_plain_words(args, as_html) as visitor, closing(function(*args, **kwargs)) as values:
                for value in each_for(visitor, values):
                    yielded = True
                    yield value
            if not yielded:
                yield gr.skip()

        return steps

    @wraps(function)
    def wrapper(*args, **kwargs):
        with _in_plain_words(args, as_html) as visitor, visiting(visitor):
            return function(*args, **kwargs)

    return wrapper


plain_api_errors = partial(plain_errors, as_html=False)


@contextmanager
def _in_plain_words(arguments: tuple, as_html: bool) -> Iterator[Visitor]:
    request = next((argument for argument in arguments if isinstance(argument, gr.Request)), None)
    try:
        yield visitor_of(request)
    except gr.Error:  # in plain words already; to Python it is a ValueError
        raise
    except StoppedError as error:
        raise plain_error(say(request, "nobody_waits"), say(request, "toast_error"), as_html) from error
    except (ValueError, OSError) as error:
        message = say(request, "failed", reason=reason_of(error, language_of(request)))
        raise plain_error(message, say(request, "toast_error"), as_html) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise plain_error(say(request, "memory"), say(request, "toast_error"), as_html) from error


def reason_of(error: Exception, language: str) -> str:
    """What went wrong, in the visitor's language where the error has a code, else in English."""
    return translate(message_of(error), language)


def plain_error(message: str, title: str, as_html: bool = True) -> gr.Error:
    """Make a `gr.Error` shown as text (toasts render HTML), for a minute, as it may hold a command to copy."""
    return gr.Error(
        html.escape(message, quote=False) if as_html else message, duration=60, title=title, print_exception=False
    )
