"""Tables of a model card: the data that a checkpoint was trained on, and what it confuses. Standard library only."""

from __future__ import annotations

from typing import Any, TypeVar

from training import command
from training.config import RunConfig
from training.publish.markdown import escaped, table
from training.publish.outcome import Outcome
from training.runs.record import Record

WHOLE_MATRIX = 12  # classes; of more, the worst confusions are named
WORST = 20
Kind = TypeVar("Kind", dict, list)
NAMED = 10  # unreadable pictures
MOST_CLASSES = 24  # whose counts are listed


def _of_kind(value: Any, kind: type[Kind]) -> Kind:
    """`value` where it is of that kind, else an empty one."""
    return value if isinstance(value, kind) else kind()


def data_section(run: Record, config: RunConfig) -> str:
    """Write the section on data from data.json: counts, balance, duplicates, unreadable pictures."""
    name = escaped(command.public_name(config.data))
    told = run.read("data.json")
    parts = _of_kind(told.get("parts"), dict)
    counts = {part: found["count"] for part, found in parts.items() if _counted(found)}
    if not counts:
        return f"{name}. Its data report was not kept with the run."
    names = {"train": "trained on", "val": "held out", "test": "test"}
    split = ", ".join(f"{count:,} {names.get(part, escaped(part))}" for part, count in counts.items())
    classes = _of_kind(told.get("classes"), list)
    said = [f"{name}: {len(classes)} classes; pictures: {split}."]
    imbalance = told.get("imbalance")
    if isinstance(imbalance, dict) and isinstance(imbalance.get("text"), str):
        said.append(f"Balance: {escaped(imbalance['text'], 400)}.")
    warnings = _of_kind(told.get("warnings"), list)
    said.append("\n".join(f"- {escaped(warning, 400)}" for warning in warnings) or "Nothing wrong was found in it.")
    unreadable = told.get("unreadable")
    if isinstance(unreadable, dict) and isinstance(unreadable.get("names"), list) and unreadable["names"]:
        left_out = ", ".join(escaped(one) for one in unreadable["names"][:NAMED])
        more = ", …" if len(unreadable["names"]) > NAMED else ""
        said.append(f"Left out, as they cannot be read: {left_out}{more}.")
    rows = [
        [escaped(label), *(f"{found['per_class'][index]:,}" for found in parts.values() if _counted(found))]
        for index, label in enumerate(classes)
        if all(_counted(found) and index < len(found["per_class"]) for found in parts.values())
    ]
    if 0 < len(rows) <= MOST_CLASSES:
        said.append(table(["class", *(names.get(part, escaped(part)) for part in counts)], rows))
    return "\n\n".join(said)


def _counted(found: Any) -> bool:
    if not isinstance(found, dict) or type(found.get("count")) is not int:
        return False
    return isinstance(found.get("per_class"), list) and all(type(one) is int for one in found["per_class"])


def confusion_section(one: Outcome) -> str:
    """Write the confusion matrix; for more than WHOLE_MATRIX classes, the WORST most frequent confusions."""
    where = "the test set" if one.split == "test" else "the held-out part"
    if len(one.classes) <= WHOLE_MATRIX:
        rows = [
            [f"**{escaped(label)}**", *(f"**{count:,}**" if row == column else f"{count:,}" if count else "·"
             for column, count in enumerate(one.confusion[row]))]
            for row, label in enumerate(one.classes)
        ]  # fmt: skip
        head = ["true ＼ predicted", *(escaped(label) for label in one.classes)]
        return f"On {where}; each row is a true class, each column what was answered.\n\n{table(head, rows)}"
    found = sorted(
        ((count, row, column) for row, counts in enumerate(one.confusion) for column, count in enumerate(counts)
         if row != column and count),
        key=lambda cell: (-cell[0], cell[1:]),
    )[:WORST]  # fmt: skip
    rows = [
        [
            escaped(one.classes[row]),
            escaped(one.classes[column]),
            f"{count:,}",
            f"{count / sum(one.confusion[row]):.1%}",
        ]
        for count, row, column in found
    ]
    if not rows:
        return f"On {where} not one picture was taken for another class."
    head = ["true class", "taken for", "pictures", "of that class"]
    return f"The most frequent of {len(one.classes)} classes, on {where}.\n\n{table(head, rows)}"
