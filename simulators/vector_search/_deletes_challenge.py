"""The design task of the lab `deletes`."""

from simulators.lab import Assertion, Challenge

ERASURE = Challenge(
    slug="keep_up_with_deletes",
    title="Forty per cent a day, gone within a week",
    brief=(
        "A catalogue replaces **40 %** of its vectors every day, at random, and arrivals slowly come from another distribution. Deleted "
        "vectors must be physically gone within **7 days**. Choose the index, its search width, and when it is rebuilt.\n\n"
        "* Recall@10 at least **0.998** at every moment, the one before a rebuild included.\n"
        "* No deleted vector stored longer than **7 days**.\n"
        "* Memory at most **1.6 x** that of the live vectors alone.\n"
        "* At most **0.8** rebuilds a day.\n\n"
        "Fixed: 5,000 live vectors of 64 dimensions, churn, its pattern, shift and 10 days."
    ),
    world={"churn": 40.0, "pattern": "random", "shift": 0.3, "days": 10, "n": 5_000},
    design=("index", "compact_at", "rebuild_every_h", "ef_search", "nprobe"),
    assertions=(
        Assertion("recall_min", ">=", 0.998, "share", "target", label="Recall@10 at its worst moment"),
        Assertion("longest_held_days", "<=", 7.0, "days", "target", label="Longest a deleted vector stays"),
        Assertion("memory_overhead", "<=", 1.6, "x", "ceiling", label="Memory against the live vectors"),
        Assertion("rebuilds_per_day", "<=", 0.8, "rebuilds/day", "ceiling", label="Rebuilds a day"),
    ),
    reference={"index": "hnsw_faiss", "compact_at": 0.35, "rebuild_every_h": 0, "ef_search": 256},
    alternative={"index": "ivf_flat", "rebuild_every_h": 48, "nprobe": 64},
    naive={"index": "hnsw_faiss", "compact_at": 0.97, "rebuild_every_h": 0, "ef_search": 64},
    maxed={"index": "hnsw_faiss", "compact_at": 0.05, "rebuild_every_h": 1, "ef_search": 1024},
    debrief=(
        "Rebuilds a day are churn x (1 - t) / t and memory peaks at 1 / (1 - t): with churn 0.4 the trigger t has to lie between 0.33 and "
        "0.375. Never compacting breaks everything but the ceiling on rebuilds, and compacting hourly breaks that. A graph that reuses the "
        "places of the deleted has neither memory nor duty to fear, only a search too narrow. An inverted file removes in place, so only "
        "the drift of its centroids asks for retraining, every other day here."
    ),
)
