"""Components and edges of a drawn system as a graph. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlsd_app.interviews.kinds import kind_of

Row = Mapping[str, Any]
REQUEST_PATH = "request path"


@dataclass(frozen=True)
class Graph:
    """Rows of the two lists; edges whose ends do not exist, or that begin where they end, are left out."""

    components: Sequence[Row]
    all_edges: Sequence[Row] = field(default_factory=tuple)

    @cached_property
    def by_key(self) -> dict[str, Row]:
        return {str(row["key"]): row for row in self.components}

    @cached_property
    def edges(self) -> list[Row]:
        known = self.by_key
        return [edge for edge in self.all_edges if edge.get("from") in known and edge.get("to") in known and edge["from"] != edge["to"]]

    def successors(self, *modes: str) -> dict[str, list[str]]:
        """{key: keys} over edges of these modes, all of them if none is given."""
        found: dict[str, list[str]] = {key: [] for key in self.by_key}
        for edge in self.edges:
            if not modes or edge.get("mode", "sync") in modes:
                found[edge["from"]].append(edge["to"])
        return found

    def of_kind(self, *kinds: str) -> list[str]:
        return [key for key, row in self.by_key.items() if kind(row) in kinds]

    def on_path(self) -> list[str]:
        return [key for key, row in self.by_key.items() if row.get("stage", REQUEST_PATH) == REQUEST_PATH]

    def names(self, keys: Sequence[str]) -> str:
        return ", ".join(name(self.by_key[key]) for key in keys)


def kind(row: Row) -> str:
    return kind_of(str(row.get("kind") or ""))


def name(row: Row) -> str:
    return str(row.get("name") or row.get("kind") or row["key"]).replace("_", " ")


def reachable(successors: Mapping[str, Sequence[str]], starts: Sequence[str]) -> set[str]:
    seen, waiting = set(starts), list(starts)
    while waiting:
        new = [key for key in successors[waiting.pop()] if key not in seen]
        seen.update(new)
        waiting += new
    return seen


def backwards(successors: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in successors}
    for source, targets in successors.items():
        for target in targets:
            found[target].append(source)
    return found


def without_cycles(keys: Sequence[str], successors: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The edges without those that lead back to a component on the way (depth first, in the order of the list)."""
    kept: dict[str, list[str]] = {key: [] for key in keys}
    state = dict.fromkeys(keys, 0)  # 0 new, 1 on the way, 2 done
    for start in keys:
        stack = [(start, iter(successors[start]))] if not state[start] else []
        state[start] = state[start] or 1
        while stack:
            key, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                state[key] = 2
                stack.pop()
            elif state[target] != 1:
                kept[key].append(target)
                if not state[target]:
                    state[target] = 1
                    stack.append((target, iter(successors[target])))
    return kept


def in_order(successors: Mapping[str, Sequence[str]]) -> list[str]:
    """Topological order of an acyclic graph (Kahn 1962)."""
    waiting_for = dict.fromkeys(successors, 0)
    for target in (target for targets in successors.values() for target in targets):
        waiting_for[target] += 1
    ready = [key for key, count in waiting_for.items() if not count]
    for key in ready:
        for target in successors[key]:
            waiting_for[target] -= 1
            if not waiting_for[target]:
                ready.append(target)
    return ready


def longest(successors: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """{key: edges on the longest path that ends there} of an acyclic graph."""
    depth = dict.fromkeys(successors, 0)
    for key in in_order(successors):
        for target in successors[key]:
            depth[target] = max(depth[target], depth[key] + 1)
    return depth
