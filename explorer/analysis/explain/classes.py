"""Which class is explained: by number or label, alone or against another one, and the score that methods explain."""

from __future__ import annotations

from difflib import get_close_matches
from numbers import Integral

from torch import Tensor

from vit_model.errors import CodedError, quoted
from vit_model.messages import message
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

Class = int | str
"""A class by its number or its label."""

LONGEST_LABEL = 200
SUGGESTIONS = 5


def class_score(logits: Tensor, target: int, against: int | None = None) -> Tensor:
    """What class-specific methods explain, [...] of logits [..., K]: logit[target], or with `against` the difference
    logit[target] - logit[against] ("why this class and not that"). Raw logits: a softmax would mix in all classes."""
    return logits[..., target] if against is None else logits[..., target] - logits[..., against]


def chosen_classes(
    model: VisionTransformer, trace: Trace, target: Class | None, against: Class | None = None
) -> tuple[int, int | None]:
    """(target, against) as numbers; a target of None is the predicted class, or where that is `against` the next one.

    Raises CodedError for a model without a head, a class that it does not have, and a class against itself.
    """
    _check_head(model)
    against = None if against is None else class_index(model, against, "against")
    if target is None:
        first, *others = trace.logits[0].topk(min(2, model.config.classes)).indices.tolist()
        target = others[0] if first == against and others else first
    assert target is not None
    target = class_index(model, target)
    if target == against:
        label = model.labels[target]
        text = "class {target} ({label}) cannot be explained against itself; choose another class, or none"
        raise CodedError(message("against_itself", text, target=target, label=label))
    return target, against


def predicted_class(model: VisionTransformer, trace: Trace) -> int:
    """The class with the largest logit. Raises CodedError for a model without a head."""
    return chosen_classes(model, trace, None)[0]


def class_index(model: VisionTransformer, named: Class, role: str = "target") -> int:
    """The class of a number or a label. A label is found as it is written, else whatever its capitals and underscores,
    else as one of the names between commas in one label only ("tabby" of "tabby, tabby cat").

    Raises CodedError naming the valid numbers, the labels nearest to an unknown one, or the classes of a label that
    several have.
    """
    _check_head(model)
    count = model.config.classes
    if isinstance(named, str):
        found = _labelled(model.labels, named.strip())
        if len(found) > 1 and not _is_number(named):
            raise _ambiguous(named.strip()[:60], found)
        named = found[0] if len(found) == 1 else int(named) if _is_number(named) else named
    if isinstance(named, str):
        asked, near = named.strip()[:60], _near(model.labels, named.strip())
        hint = message("class_first", "its labels start with {name}", name=repr(model.labels[0]))
        if near:
            hint = message("class_near", "did you mean {names}?", names=", ".join(map(repr, near)))
        text = "this model has no class {asked}; give a number from 0 to {last} or a label: {hint}"
        raise CodedError(message("unknown_class", text, asked=quoted(asked), last=count - 1, hint=hint))
    if not isinstance(named, Integral) or not 0 <= named < count:
        text = "{role} must be a class from 0 to {last}, got {asked}"
        raise CodedError(message("class_out_of_range", text, role=role, last=count - 1, asked=named))
    return int(named)


def _check_head(model: VisionTransformer) -> None:
    if not model.config.classes:
        text = (
            "this model has no head, so it has no class to explain; use 'attention' or 'rollout', which look at no "
            "class, or a model with a head"
        )
        raise CodedError(message("no_head", text))


def _ambiguous(asked: str, classes: list[int]) -> CodedError:
    first = ", ".join(f"#{index}" for index in classes[:SUGGESTIONS]) + (", ..." if len(classes) > SUGGESTIONS else "")
    text = "{asked} names several classes: {first} ({count} in all); give the number, such as {one}"
    details = {"asked": quoted(asked), "first": first, "count": len(classes), "one": classes[0]}
    return CodedError(message("ambiguous_class", text, **details))


def _labelled(labels: tuple[str, ...], text: str) -> list[int]:
    """The classes that a text names: as it is written, else in either of the freer ways."""
    if found := [at for at, label in enumerate(labels) if label == text]:
        return found
    text = _plain(text)
    for names in (lambda label: [label], lambda label: label.split(",")):
        if found := [at for at, label in enumerate(labels) if text in map(_plain, names(label))]:
            return found
    return []


def _plain(text: str) -> str:
    return text.strip().casefold().replace("_", " ")


def _near(labels: tuple[str, ...], text: str) -> list[str]:
    """The labels most like a text, those that contain it first."""
    text = _plain(text)[:LONGEST_LABEL]
    names = {_plain(label)[:LONGEST_LABEL]: label for label in reversed(labels)}
    within = [label for name, label in names.items() if len(text) > 2 and text in name]
    alike = [names[name] for name in get_close_matches(text, names, SUGGESTIONS, cutoff=0.5)]
    return list(dict.fromkeys([*reversed(within), *alike]))[:SUGGESTIONS]


def _is_number(text: str) -> bool:
    text = text.strip().removeprefix("-")
    return text.isascii() and text.isdigit() and len(text) < 10
