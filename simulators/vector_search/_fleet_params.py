"""Parameters of the lab `fleet`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from simulators.lab import LabParams, param
from simulators.vector_search._fleet_plan import DESIGNS

LABELS = {name: facts.label for name, facts in DESIGNS.items()}


class FleetParams(LabParams):
    design: Literal["hnsw", "hnsw_sq8", "ivf_pq", "ivf_pq_refine", "disk_graph"] = param(
        "disk_graph", title="Index", group="design", labels=LABELS, help="What each node holds. Bytes a vector set the number of nodes."
    )
    codes: Literal["fine", "coarse"] = param(
        "fine",
        title="Codes",
        group="design",
        shown_when={"design": ("ivf_pq", "ivf_pq_refine")},
        labels={"fine": "4 bits for 2 dimensions (192 B at 768)", "coarse": "4 bits for 12 dimensions (32 B at 768)"},
        help="How short the compressed vectors are. Refined designs keep 8-bit vectors beside them.",
    )
    replicas: int = param(
        2,
        title="Copies",
        unit="copies",
        ge=1,
        le=5,
        group="design",
        help="Complete copies of the corpus: for rate, for hedging, for losing a node.",
    )
    shards: int = param(
        0,
        title="Shards",
        unit="shards",
        ge=0,
        le=256,
        soft=(0, 64),
        group="design",
        help="Logical shards; 0 takes as many as nodes are needed. A shard that outgrows a node is cut over several.",
    )
    shard_rule: Literal["tenant", "id_range", "cluster"] = param(
        "tenant",
        title="Placement",
        group="design",
        labels={"tenant": "by tenant", "id_range": "by id range", "cluster": "by cluster"},
        help="By tenant a query asks one shard, by id range all of them, by cluster the nearest few.",
    )
    visited: int = param(
        0,
        title="Clusters visited",
        unit="shards",
        ge=0,
        le=256,
        soft=(0, 32),
        group="design",
        shown_when={"shard_rule": ("cluster",)},
        help="Nearest clusters a query asks; 0 asks all.",
    )
    hedge_ms: float = param(
        0.0,
        title="Hedge after",
        unit="ms",
        ge=0,
        le=100,
        step=1,
        group="hedge",
        help="Send a copy to another replica after this time; 0: never.",
    )
    hedge_budget: float = param(
        0.05,
        title="Hedge budget",
        unit="share of requests",
        ge=0,
        le=1,
        step=0.01,
        group="hedge",
        help="Most copies, as a share of a shard's requests.",
    )
    cancel: bool = param(
        True,
        title="Cancel the loser",
        group="hedge",
        help="Take the copy that lost out of its queue. A search that runs is run to its end.",
    )
    qps: int = param(
        2_000,
        title="Arrivals",
        unit="queries/s",
        ge=1,
        le=1_000_000,
        soft=(10, 100_000),
        scale="log",
        group="load",
        help="Queries a second, at random times.",
    )
    p50_ms: float = param(
        5.0,
        title="One search, median",
        unit="ms",
        ge=0.1,
        le=1_000,
        soft=(0.5, 100),
        scale="log",
        group="load",
        help="Service time on one node, without queueing.",
    )
    p99_ms: float = param(
        25.0,
        title="One search, 99th percentile",
        unit="ms",
        ge=0.1,
        le=1_000,
        soft=(1, 1_000),
        scale="log",
        group="load",
        help="With the median it fixes a lognormal distribution.",
    )
    workers: int = param(
        16,
        title="Searches at once",
        unit="searches",
        ge=1,
        le=256,
        soft=(1, 64),
        scale="log",
        group="load",
        help="A node runs so many at a time; the others queue.",
    )
    n: int = param(
        1_000_000_000,
        title="Vectors",
        unit="vectors",
        ge=1_000_000,
        le=100_000_000_000,
        scale="log",
        group="data",
        help="Size of the corpus.",
    )
    d: int = param(
        768,
        title="Dimensions",
        unit="dimensions",
        ge=64,
        le=4_096,
        scale="log",
        group="data",
        help="Length of a vector, stored as float32.",
    )
    tenants: int = param(
        1_000,
        title="Tenants",
        unit="tenants",
        ge=1,
        le=1_000_000,
        scale="log",
        group="data",
        shown_when={"shard_rule": ("tenant",)},
        help="Owners of the vectors. Each is searched apart from the others.",
    )
    zipf: float = param(
        1.0,
        title="Tenant skew (Zipf)",
        unit="exponent",
        ge=0,
        le=2,
        step=0.05,
        group="data",
        shown_when={"shard_rule": ("tenant",)},
        help="The r-th largest tenant has a share in proportion to r to the minus this; 0: all alike.",
    )
    usable: float = param(
        0.75,
        title="RAM usable for the index",
        unit="share",
        ge=0.3,
        le=1,
        step=0.05,
        group="nodes",
        help="The rest: system, buffers, growth, one rebuild.",
    )
    node_ram_gb: float = param(
        64.0, title="RAM a node", unit="GB", ge=8, le=4_096, scale="log", group="nodes", help="Of both kinds of node."
    )
    node_ssd_gb: float = param(
        1_900.0,
        title="SSD of an SSD node",
        unit="GB",
        ge=100,
        le=100_000,
        scale="log",
        group="nodes",
        help="Holds graph and vectors of the SSD design.",
    )
    ram_node_usd: float = param(
        370.0, title="Price of a RAM node", unit="$/month", ge=1, le=100_000, soft=(1, 5_000), group="nodes", help="From your catalogue."
    )
    ssd_node_usd: float = param(
        500.0, title="Price of an SSD node", unit="$/month", ge=1, le=100_000, soft=(1, 5_000), group="nodes", help="From your catalogue."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> FleetParams:
        if self.p99_ms <= self.p50_ms:
            raise ValueError(
                f"One search, 99th percentile: {self.p99_ms:g} ms was given; expected more than the median of {self.p50_ms:g} ms."
            )
        return self
