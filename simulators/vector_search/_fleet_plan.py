"""The fleet a design needs: bytes of the index, shards and nodes, dollars a month, and which nodes a query visits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.disk import DiskCost, disk_graph
from simulators.engines.ann.fleet import Lognormal, capacity_qps
from simulators.engines.ann.fleet_placement import Routing, cluster_routing_steps, place_tenants, tenant_sizes
from simulators.engines.ann.fleet_replicas import Policy
from simulators.engines.ann.memory import index_bytes
from simulators.errors import InvalidInput
from simulators.lab import Context, Working
from simulators.vector_search._vectors import told

GB = 1e9
LINKS = 16
CELLS_A_ROOT = 4  # IVF cells: about 4 sqrt(n), rounded to a power of two; 131,072 for a billion
MOST_SHARDS = 1_024  # simulated; beyond it the figures would be those of another lab
MOST_VISITS = 160_000  # shard requests simulated
MOST_REQUESTS, FEWEST_REQUESTS = 4_000, 400


class DesignFacts(NamedTuple):
    label: str
    recall: float  # recall@10
    source: str  # where the recall comes from


_OURS = "measured at 100,000 x 768 with the indexes of this site"
DESIGNS = {
    "hnsw": DesignFacts("HNSW", 0.997, f"{_OURS}: M 16, ef 128"),
    "hnsw_sq8": DesignFacts("HNSW-SQ8", 0.985, f"{_OURS}: M 16, ef 128"),
    "ivf_pq": DesignFacts("IVF-PQ", 0.68, f"{_OURS}: 384 codes of 4 bits, nprobe 32 of 256"),
    "ivf_pq_refine": DesignFacts("IVF-PQ + refine", 0.987, f"{_OURS}: as IVF-PQ, 80 candidates re-scored as SQ8"),
    "disk_graph": DesignFacts("Graph on SSD", 0.95, "from print: the recall at which DiskANN reports its figures (NeurIPS 2019)"),
}
COARSE = {
    "ivf_pq": DesignFacts("IVF-PQ", 0.29, f"{_OURS}: 64 codes of 4 bits, nprobe 32 of 256"),
    "ivf_pq_refine": DesignFacts("IVF-PQ + refine", 0.73, f"{_OURS}: 64 codes of 4 bits, 80 candidates re-scored as SQ8"),
}
DIMENSIONS_A_CODE = {"fine": 2, "coarse": 12}  # 192 and 32 bytes a vector at 768 dimensions


def facts_of(design: str, codes: str) -> DesignFacts:
    return COARSE.get(design, DESIGNS[design]) if codes == "coarse" else DESIGNS[design]


class Node(NamedTuple):
    ram_bytes: float  # usable for the index
    ssd_bytes: float  # 0: a node without a drive that counts
    usd_a_month: float


class Holding(NamedTuple):
    """What one copy of the corpus weighs, by part, and which parts lie on SSD."""

    parts: dict[str, float]  # bytes
    on_ssd: float
    disk: DiskCost | None

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def in_ram(self) -> float:
        return self.total - self.on_ssd

    def nodes_for(self, share: float, node: Node) -> int:
        """Nodes that hold this share of one copy: by RAM, and by SSD where some lies there."""
        needed = [self.in_ram * share / node.ram_bytes, self.on_ssd * share / node.ssd_bytes if self.on_ssd else 0]
        return max(1, math.ceil(max(needed) - 1e-9))


def holding_of(design: str, n: int, d: int, codes: str) -> Holding:
    if design == "disk_graph":
        disk = disk_graph(n, d)
        return Holding({"graph and vectors on SSD": disk.ssd_bytes, "codes": disk.ram_bytes}, disk.ssd_bytes, disk)
    nlist = 2 ** round(math.log2(CELLS_A_ROOT * math.sqrt(n)))
    model = index_bytes(n, d, design, M=LINKS, nlist=nlist, pq_m=sub_quantisers(d, codes), refine="sq8")
    return Holding(dict(model.parts), 0.0, None)


def sub_quantisers(d: int, codes: str) -> int:
    """The most equal parts of a vector that are no shorter than the code asks for."""
    shortest = DIMENSIONS_A_CODE[codes]
    return d // next(length for length in range(min(shortest, d), d + 1) if d % length == 0)


def node_of(design: str, params: Any) -> Node:
    ram = params.node_ram_gb * GB * params.usable
    if design == "disk_graph":
        return Node(ram, params.node_ssd_gb * GB, params.ssd_node_usd)
    return Node(ram, 0.0, params.ram_node_usd)


@dataclass(frozen=True)
class Plan:
    """A fleet. A logical shard that outgrows a node is cut by id range over several, and a query to it visits all of these."""

    design: str
    params: Any
    holding: Holding
    node: Node
    shares: npt.NDArray[np.float64]  # of the corpus, each logical shard
    routing: Routing | None  # of rule "cluster"

    @cached_property
    def spread(self) -> npt.NDArray[np.int64]:
        """Nodes of one copy of each logical shard."""
        return np.array([self.holding.nodes_for(float(share), self.node) for share in self.shares])

    @property
    def nodes(self) -> int:
        return int(self.spread.sum()) * int(self.params.replicas)

    @property
    def usd_a_month(self) -> float:
        return self.nodes * self.node.usd_a_month

    @property
    def visited(self) -> int:
        """Logical shards a query asks under rule "cluster"."""
        return min(self.params.visited or len(self.shares), len(self.shares))

    @property
    def routing_recall(self) -> float:
        return self.routing.recall(self.visited) if self.routing else 1.0

    @property
    def facts(self) -> DesignFacts:
        return facts_of(self.design, self.params.codes)

    @property
    def recall(self) -> float:
        """The index finds its share of what routing lets it see; the two losses are taken as independent."""
        return self.facts.recall * self.routing_recall

    @property
    def service(self) -> Lognormal:
        return Lognormal.fitted(self.params.p50_ms, self.params.p99_ms)

    def policy(self, *, hedged: bool = True) -> Policy:
        p = self.params
        return Policy(p.replicas, p.workers, p.hedge_ms if hedged and p.hedge_ms else None, p.hedge_budget, p.cancel)

    def visits(self, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """bool [requests, nodes of one copy]: which nodes each request visits. Queries go where the vectors are."""
        count = self._requests()
        if self.params.shard_rule == "id_range":
            return np.ones((count, int(self.spread.sum())), dtype=bool)
        asked = np.zeros((count, len(self.shares)), dtype=bool)
        if self.routing:
            which = rng.integers(len(self.routing.order), size=count)
            asked[np.arange(count)[:, None], self.routing.order[which, : self.visited]] = True
        else:
            asked[np.arange(count), rng.choice(len(self.shares), size=count, p=self.shares)] = True
        return np.repeat(asked, self.spread, axis=1)

    def answered_after_loss(self, visits: npt.NDArray[np.bool_]) -> float:
        """Share of the queries that can still be answered in full when the busiest shard loses one node."""
        policy, busiest = self.policy(), float(visits.mean(axis=0).max())
        if policy.replicas == 1:
            return 1 - busiest
        capacity = capacity_qps(self.service, policy, visits) * (policy.replicas - 1) / policy.replicas
        return 1 - busiest * max(0.0, 1 - capacity / float(self.params.qps))

    def _requests(self) -> int:
        fan_out = float(self.spread.sum())
        if self.params.shard_rule == "tenant":
            fan_out = float((self.shares * self.spread).sum())
        elif self.routing:
            fan_out *= self.visited / len(self.shares)
        return int(np.clip(MOST_VISITS / fan_out, FEWEST_REQUESTS, MOST_REQUESTS))


def plan_steps(ctx: Context, params: Any) -> Working[Plan]:
    """The plan for a run's parameters; InvalidInput where it outgrows the simulation or its drives."""
    holding, node = holding_of(params.design, params.n, params.d, params.codes), node_of(params.design, params)
    by_memory = holding.nodes_for(1.0, node)
    check_shards(by_memory)
    shards = params.shards or by_memory
    routing = None
    if params.shard_rule == "cluster":
        key = f"ann/fleet/routing/1/shards={shards}/seed={ctx.seed}"
        steps = cluster_routing_steps(shards, seed=ctx.seed)
        routing = yield from ctx.asset_steps(key, lambda: told(steps, "cutting the world into clusters"))
    plan = Plan(params.design, params, holding, node, _shares(params, shards, routing), routing)
    check_shards(int(plan.spread.sum()))
    return plan


def _shares(params: Any, shards: int, routing: Routing | None) -> npt.NDArray[np.float64]:
    if routing:
        return routing.shares
    if params.shard_rule == "tenant":
        return place_tenants(tenant_sizes(params.tenants, params.zipf), shards)
    return np.full(shards, 1 / shards)


def check_shards(count: int) -> None:
    if count > MOST_SHARDS:
        raise InvalidInput(
            f"{count:,} nodes would hold one copy; this lab simulates at most {MOST_SHARDS:,}. Choose a smaller corpus, a design with "
            "fewer bytes a vector, or larger nodes.",
            field="n",
        )


def check_drives(plan: Plan, visits: npt.NDArray[np.bool_]) -> None:
    """The drives must carry the reads of the busiest node."""
    disk = plan.holding.disk
    if disk is None:
        return
    asked = plan.params.qps * float(visits.mean(axis=0).max()) / plan.params.replicas
    if asked > disk.qps:
        raise InvalidInput(
            f"arrival {plan.params.qps:,} QPS puts {asked:,.0f} queries/s on the busiest node and exceeds capacity: its drives serve "
            f"{disk.qps:,.0f} at {disk.reads_per_query:.0f} reads a query. Add replicas or shards.",
            field="qps",
        )
