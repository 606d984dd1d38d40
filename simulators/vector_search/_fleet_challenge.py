"""The design task of the lab `fleet`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

BILLION = Challenge(
    slug="billion_for_15000",
    title="A billion vectors on $15,000 a month",
    brief=(
        "A search service for 1,000 tenants of very uneven size holds **1 billion vectors of 768 dimensions** and gets **2,000 queries a "
        "second**. One search takes 5 ms at the median, but 1 in 100 takes 120 ms or more, because rebuilds share the machines.\n\n"
        "Deliver recall@10 of at least 0.95, a p99 of at most 100 ms, and no unanswered query when the busiest shard loses a node, for at "
        "most $15,000 a month. Nodes, prices and load are given. You choose the index, the copies, the placement and the hedging."
    ),
    world={
        "n": 1_000_000_000,
        "d": 768,
        "qps": 2_000,
        "p50_ms": 5.0,
        "p99_ms": 120.0,
        "workers": 32,
        "shards": 0,
        "tenants": 1_000,
        "zipf": 1.0,
        "usable": 0.75,
        "node_ram_gb": 64.0,
        "node_ssd_gb": 1_900.0,
        "ram_node_usd": 370.0,
        "ssd_node_usd": 500.0,
    },
    design=("design", "codes", "replicas", "shard_rule", "visited", "hedge_ms", "hedge_budget", "cancel"),
    assertions=(
        Assertion("recall", ">=", 0.95, "share", "target", label="Recall@10"),
        Assertion("answered_after_loss", ">=", 1.0, "share", "safety", over="all", label="Queries answered after losing a node"),
        Assertion("p99_ms", "<=", 100.0, "ms", "target", label="99th percentile of the query latency"),
        Assertion("cost_usd", "<=", 15_000.0, "$/month", "ceiling", label="Price of the fleet"),
    ),
    reference={"design": "disk_graph", "shard_rule": "tenant", "replicas": 2, "hedge_ms": 40.0, "hedge_budget": 0.05},
    alternative={"design": "hnsw_sq8", "shard_rule": "id_range", "replicas": 2, "hedge_ms": 20.0, "hedge_budget": 0.2},
    naive={"design": "hnsw", "shard_rule": "id_range", "replicas": 2},
    maxed={"design": "hnsw", "shard_rule": "tenant", "replicas": 5, "hedge_ms": 10.0, "hedge_budget": 1.0},
    debrief=(
        "The SSD graph needs 6 nodes, because shards follow the drive and not the RAM, and a tenant's query asks one of them. HNSW over "
        "8-bit vectors needs 40 RAM nodes, which the budget just allows when shards are filled evenly; then every query waits for 20 "
        "nodes, and only a larger hedge budget holds the p99. Float32 HNSW costs three times the budget, and codes alone miss the recall. "
        "Two copies that can lose one run at less than half load, and a fleet with that much room can afford its hedges."
    ),
)
