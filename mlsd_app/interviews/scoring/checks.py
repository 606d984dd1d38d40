"""Eight checks of a drawn system that need no reading: they look at kinds, edges and figures. Pure; shown, not scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlsd_app.interviews.kinds import kind_of

Row = Mapping[str, Any]
REQUEST_PATH = "request path"
# What answers a request, if the call ends there.
_ANSWERING = """
ranker reranker blender auction llm decode_pool model_server ann_index inverted_index shards merger online_store feature_store cache
document_store safety_filter output_filter rules policy_engine calibrator assigner stats_engine planner handover citation_check
"""
ANSWERING = frozenset(_ANSWERING.split())
LEARNING_FROM = frozenset(
    {"log", "label_join", "labelling", "human_review", "data_engine", "offline_store", "feature_store", "judge", "stream"}
)
TRAINING_DATA = frozenset({"offline_store", "label_join", "feature_store", "data_engine"})
UNREPLICATED_IS_FINE = frozenset({"client", "sensor"})
MAX_PATHS = 20_000  # steps of a search for the slowest path


@dataclass(frozen=True)
class Check:
    """`ok` None: there is nothing yet that could be checked. `components`: keys of the rows it is about."""

    key: str
    title: str
    ok: bool | None
    detail: str
    components: tuple[str, ...] = ()


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


def design_checks(components: Sequence[Row], edges: Sequence[Row], facts: Mapping[str, float]) -> list[Check]:
    """The eight checks in a fixed order.

    facts  what the interview fixed; `latency_ms` is the budget at p99, if there is one
    """
    graph = Graph(components, edges)
    checks = (_orphans, _answers, _latency, _replicas, _feedback, _training, _monitored, _reasons)
    return [check(graph, facts) for check in checks]


def _result(key: str, title: str, bad: Sequence[str], fault: str, fine: str, *, checked: bool = True) -> Check:
    if not checked:
        return Check(key, title, None, "Nothing to check yet.")
    return Check(key, title, not bad, fault if bad else fine, tuple(bad))


def _orphans(graph: Graph, facts: Mapping[str, float]) -> Check:
    joined = {end for edge in graph.edges for end in (edge["from"], edge["to"])}
    bad = [key for key in graph.by_key if key not in joined]
    fault = f"No connection to or from {graph.names(bad)}."
    return _result("orphan", "Every component is connected", bad, fault, "All are connected.", checked=bool(graph.components))


def _answers(graph: Graph, facts: Mapping[str, float]) -> Check:
    title, clients = "A request gets from the client to an answer", graph.of_kind("client", "sensor")
    if not graph.components:
        return Check("answer", title, None, "Nothing to check yet.")
    if not clients:
        return Check("answer", title, False, "There is no client: where does a request come from?")
    reached = reachable(graph.successors("sync"), clients)
    if any(kind(graph.by_key[key]) in ANSWERING for key in reached):
        return Check("answer", title, True, "A chain of sync calls leads from the client to a component that answers.")
    return Check("answer", title, False, "No chain of sync calls leads from the client to a component that answers.", tuple(clients))


def reachable(successors: Mapping[str, Sequence[str]], starts: Sequence[str]) -> set[str]:
    seen, waiting = set(starts), list(starts)
    while waiting:
        new = [key for key in successors[waiting.pop()] if key not in seen]
        seen.update(new)
        waiting += new
    return seen


def _latency(graph: Graph, facts: Mapping[str, float]) -> Check:
    title, budget = "The slowest chain of calls fits the latency", facts.get("latency_ms")
    timed = [row for row in graph.components if row.get("p99_ms") is not None]
    if budget is None or not timed:
        return Check("latency", title, None, "Nothing to check yet: it takes a latency budget and a p99 of components.")
    path = slowest_path(graph)
    total = sum(float(graph.by_key[key].get("p99_ms") or 0) for key in path)
    words = f"{graph.names(path)}: the p99s add up to {total:g} ms, the budget is {budget:g} ms."
    return Check("latency", title, total <= budget, words, () if total <= budget else tuple(path))


def slowest_path(graph: Graph) -> list[str]:
    """The chain of sync calls with the largest sum of p99s; a component counts once, so cycles end a chain."""
    successors = graph.successors("sync")
    cost = {key: float(row.get("p99_ms") or 0) for key, row in graph.by_key.items()}
    best: list[str] = []
    best_cost, steps = -1.0, 0
    waiting = [([key], cost[key]) for key in graph.by_key]
    while waiting and steps < MAX_PATHS:
        path, total = waiting.pop()
        steps += 1
        if total > best_cost:
            best, best_cost = path, total
        waiting += [([*path, key], total + cost[key]) for key in successors[path[-1]] if key not in path]
    return best


def _replicas(graph: Graph, facts: Mapping[str, float]) -> Check:
    counted = [key for key in graph.on_path() if graph.by_key[key].get("replicas") is not None]
    bad = [key for key in counted if float(graph.by_key[key]["replicas"]) <= 1 and kind(graph.by_key[key]) not in UNREPLICATED_IS_FINE]
    fault = f"One replica only: {graph.names(bad)}. Its restart is everybody's outage."
    return _result("replica", "No single replica on the request path", bad, fault, "None stands alone.", checked=bool(counted))


def _feedback(graph: Graph, facts: Mapping[str, float]) -> Check:
    trainers = graph.of_kind("trainer")
    backwards = _reversed(graph.successors())
    bad = [
        key for key in trainers if not any(kind(graph.by_key[source]) in LEARNING_FROM for source in reachable(backwards, [key]) - {key})
    ]
    fault = "No connection brings logs, labels or feedback to the trainer."
    return _result("feedback", "Labels come back to the trainer", bad, fault, "Logs or labels reach it.", checked=bool(trainers))


def _reversed(successors: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in successors}
    for source, targets in successors.items():
        for target in targets:
            found[target].append(source)
    return found


def _training(graph: Graph, facts: Mapping[str, float]) -> Check:
    trainers = graph.of_kind("trainer")
    bad = trainers if trainers and not graph.of_kind(*TRAINING_DATA) else []
    fault = "There is a trainer, but no offline store and no join of labels: what does it read?"
    return _result("training_data", "The trainer has data with labels", bad, fault, "It has a store to read from.", checked=bool(trainers))


def _monitored(graph: Graph, facts: Mapping[str, float]) -> Check:
    path, monitors = set(graph.on_path()) - set(graph.of_kind("monitor")), set(graph.of_kind("monitor"))
    title = "A monitor watches the request path"
    if not path:
        return Check("monitor", title, None, "Nothing to check yet.")
    tied = any({edge["from"], edge["to"]} & monitors and {edge["from"], edge["to"]} & path for edge in graph.edges)
    if tied:
        return Check("monitor", title, True, "A monitor is connected to the request path.")
    return Check("monitor", title, False, "No monitor is connected to the request path.", tuple(sorted(monitors)))


def _reasons(graph: Graph, facts: Mapping[str, float]) -> Check:
    bad = [key for key, row in graph.by_key.items() if not str(row.get("why") or "").strip()]
    fault = f"Without a reason: {graph.names(bad)}."
    return _result("why", "Every component has a reason", bad, fault, "Each says why it is there.", checked=bool(graph.components))
