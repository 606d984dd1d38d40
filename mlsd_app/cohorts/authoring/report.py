"""What a check says: level, file, line, what is wrong, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Level = Literal["error", "warning", "note"]
MEND_LINE = "Mend this line; the rest of the file is read after it."
ORDER: tuple[Level, ...] = ("error", "warning", "note")
_LINE = re.compile(r"^(?P<file>[^,:\s]+), line (?P<line>\d+)[:,]? *(?P<rest>.*)$", re.DOTALL)
_KEY = re.compile(r"^(?P<file>[^,:\s]+), (?P<key>[^:]+): (?P<rest>.*)$", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """`line` counts from 1; None where the whole file is meant."""

    level: Level
    file: str
    line: int | None
    message: str
    remedy: str


def sorted_findings(found: Iterable[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(found), key=lambda one: (ORDER.index(one.level), one.file, one.line or 0, one.message))


def as_json(found: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]


def from_loader(message: str, folder: Path) -> Finding:
    """A sentence of the loader ("<slug>/quiz.yaml, items.3.stem: ...") with the line its key stands on."""
    if said := _LINE.match(message):
        return Finding("error", _bare(said["file"]), int(said["line"]), said["rest"].strip(), MEND_LINE)
    if said := _KEY.match(message):
        file = _bare(said["file"])
        line = line_of_key(folder / file, said["key"].split("."))
        return Finding("error", file, line, f"{said['key']}: {said['rest']}", "docs/content.md shows what this file may hold.")
    head, _, rest = message.partition(" ")
    return Finding("error", _bare(head.rstrip(":,")), None, rest or message, "docs/content.md lists the files of a problem.")


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def line_of_key(path: Path, keys: list[str]) -> int | None:
    """The line of the node that `keys` leads to, as far as it leads."""
    if path.suffix != ".yaml" or not path.is_file():
        return None
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line = node.start_mark.line + 1 if node else 1
    for key in keys:
        following = _child(node, key)
        if following is None:
            break
        line, node = following
    return line


def _child(node: Any, key: str) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((name.start_mark.line + 1, value) for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        value = node.value[int(key)]
        return value.start_mark.line + 1, value
    return None


def fault(path: Path, at: str, message: str, remedy: str, level: Level = "error") -> Finding:
    """On the first line of the file that holds `at`; on the whole file for ""."""
    return Finding(level, path.name, line_with(path, at) if at else None, message, remedy)


def line_with(path: Path, words: str) -> int | None:
    """The first line that holds `words` as they are."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, start=1) if words in line), None)
