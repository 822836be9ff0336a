"""Where the product makes sentences that people read: read off its source, importing nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

ROOT = Path(__file__).parents[3]
PARTS = ("vit_model", "training", "explorer")
ANCESTORS = ("Coded",)


@dataclass
class Site:
    """One place that makes a message with `code`. `template`: its English with gaps; `details`: names of its values,
    with "*" among them where they are passed as a dict."""

    code: str
    template: str
    details: set[str]
    place: str

    @property
    def gaps(self) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(self.template) if name}


@dataclass
class Source:
    """One file of the product; `constants`: (line, name, text) of every variable that holds a text."""

    place: str  # its path below the root
    tree: ast.Module
    constants: list[tuple[int, str, str]] = field(default_factory=list)

    def text_of(self, node: ast.expr) -> str:
        """A constant, or a variable that was given one further up."""
        if isinstance(node, ast.Constant):
            return node.value
        return [text for line, name, text in self.constants if line <= node.lineno and name == node.id][-1]


def read_sources(root: Path = ROOT) -> list[Source]:
    found = []
    for path in (path for part in PARTS for path in sorted((root / part).rglob("*.py"))):
        source = Source(path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8")))
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Assign):
                continue
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for name, text in zip(target.elts, value.elts, strict=True) if several else [(target, value)]:
                if isinstance(name, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                    source.constants.append((node.lineno, name.id, text.value))
        source.constants.sort()
        found.append(source)
    return found


def callee(node: ast.expr) -> str:
    """The last part of the name of what is called, "" for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def find_sites(read: list[Source]) -> Iterator[Site]:
    """Every `message("code", "template", ...)`."""
    for source in read:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and callee(node) == "message":
                code, template = (source.text_of(argument) for argument in node.args)
                details = {keyword.arg or "*" for keyword in node.keywords}
                yield Site(code, template, details, f"{source.place}:{node.lineno}")


def find_uncoded(read: list[Source]) -> Iterator[tuple[str, str]]:
    """(file, the call) of every error whose class has a code and which gets none: no `Message` from a call, from a
    property, or from a variable of the same function."""
    errors, making = error_classes(read), message_makers(read)
    for source in read:
        seen: set[int] = set()
        scopes = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)]  # outer ones come first
        for scope in [*scopes, source.tree]:
            named = _made(scope, making)
            for node in ast.walk(scope):
                if not isinstance(node, ast.Call) or callee(node) not in errors or id(node) in seen:
                    continue
                seen.add(id(node))
                if not any(_makes(argument, making, named) for argument in node.args):
                    yield source.place, ast.unparse(node)


def find_value_errors(read: list[Source]) -> Iterator[tuple[str, str]]:
    """(file, the call) of every `raise ValueError(...)`."""
    for source in read:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Raise) and node.exc is not None and callee(node.exc) == "ValueError":
                yield source.place, ast.unparse(node.exc)


def _made(scope: ast.AST, making: set[str]) -> set[str]:
    """Variables of a function that are given a `Message`, wherever they are given something."""
    given: dict[str, bool] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for name, one in zip(target.elts, value.elts, strict=True) if several else [(target, value)]:
                if isinstance(name, ast.Name):
                    given[name.id] = given.get(name.id, True) and _makes(one, making, set())
    return {name for name, always in given.items() if always}


def _makes(node: ast.expr, making: set[str], named: set[str]) -> bool:
    if isinstance(node, ast.IfExp):
        return _makes(node.body, making, named) and _makes(node.orelse, making, named)
    name = callee(node) or getattr(node, "attr", "")
    return name in making or (isinstance(node, ast.Name) and node.id in named)


def error_classes(read: list[Source]) -> set[str]:
    """Names of all classes that carry a code, by their bases."""
    known, bases = set(ANCESTORS), {}
    for source in read:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                of = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
                bases[node.name] = bases.get(node.name, set()) | of
    while more := {name for name, of in bases.items() if of & known} - known:
        known |= more
    return known - set(ANCESTORS)


def message_makers(read: list[Source]) -> set[str]:
    """Names of functions and properties that return a `Message` or an error with a code, by their annotations."""
    errors = error_classes(read)
    return {
        node.name
        for source in read
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or ast.Constant("")) in {"Message", *errors}
    } | {"Message", "message"}
