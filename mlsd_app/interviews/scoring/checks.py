"""Eight checks of a drawn system that need no reading: they look at kinds, edges and figures. Pure; shown, not scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlsd_app.interviews.scoring.graph import Graph, Row, backwards, in_order, kind, reachable, without_cycles

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


@dataclass(frozen=True)
class Check:
    """`ok` None: there is nothing yet that could be checked. `components`: keys of the rows it is about."""

    key: str
    title: str
    ok: bool | None
    detail: str
    components: tuple[str, ...] = ()


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
    """The chain of sync calls with the largest sum of p99s, after edges that close a cycle are left out."""
    calls = without_cycles(list(graph.by_key), graph.successors("sync"))
    order = in_order(calls)
    cost = {key: float(row.get("p99_ms") or 0) for key, row in graph.by_key.items()}
    after: dict[str, tuple[float, str | None]] = {}
    for key in reversed(order):
        after[key] = max(((after[target][0] + cost[target], target) for target in calls[key]), default=(0.0, None))
    path: list[str] = []
    step: str | None = max(order, key=lambda key: after[key][0] + cost[key])
    while step is not None:
        path.append(step)
        step = after[step][1]
    return path


def _replicas(graph: Graph, facts: Mapping[str, float]) -> Check:
    counted = [key for key in graph.on_path() if graph.by_key[key].get("replicas") is not None]
    bad = [key for key in counted if float(graph.by_key[key]["replicas"]) <= 1 and kind(graph.by_key[key]) not in UNREPLICATED_IS_FINE]
    fault = f"One replica only: {graph.names(bad)}. Its restart is everybody's outage."
    return _result("replica", "No single replica on the request path", bad, fault, "None stands alone.", checked=bool(counted))


def _feedback(graph: Graph, facts: Mapping[str, float]) -> Check:
    trainers = graph.of_kind("trainer")
    sources = backwards(graph.successors())
    fed_by = {key: {kind(graph.by_key[source]) for source in reachable(sources, [key]) - {key}} for key in trainers}
    bad = [key for key, kinds in fed_by.items() if not kinds & LEARNING_FROM]
    fault = "No connection brings logs, labels or feedback to the trainer."
    return _result("feedback", "Labels come back to the trainer", bad, fault, "Logs or labels reach it.", checked=bool(trainers))


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
