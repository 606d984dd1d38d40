"""The design challenge of the lab `index_tradeoffs`."""

from simulators.lab import Assertion, Challenge

TIGHT_BUDGET = Challenge(
    slug="recall_on_a_diet",
    title="Recall on a diet",
    brief=(
        "Fifty thousand vectors of 96 dimensions have to fit beside another service. Choose one index and its settings.\n\n"
        "* Recall@10 at least **0.94**.\n"
        "* At least **5 times** the throughput of exact search in the same run.\n"
        "* Memory at most **40 %** of the float32 vectors alone.\n\n"
        "Fixed: the vectors, their 200 clusters, and queries drawn like them."
    ),
    world={"n": 50_000, "d": 96, "clusters": 200, "query_shift": 0.0},
    design=("kind", "M", "ef_construction", "nlist", "pq_m", "refine", "ef_search", "nprobe", "k_factor"),
    assertions=(
        Assertion("recall", ">=", 0.94, "share", "target", label="Recall@10"),
        Assertion("speedup", ">=", 5.0, "x", "target", reference_value=14.0, label="Throughput against exact search"),
        Assertion("memory_share", "<=", 0.4, "share", "ceiling", label="Memory against the float32 vectors"),
    ),
    reference={"kind": ("ivf_sq8",), "nlist": 256, "nprobe": 8},
    alternative={"kind": ("ivf_pq_refine",), "nlist": 256, "pq_m": 48, "refine": "sq8", "nprobe": 16, "k_factor": 12},
    naive={"kind": ("ivf_pq",), "nlist": 256, "pq_m": 48, "nprobe": 16},
    maxed={"kind": ("hnsw",), "M": 64, "ef_construction": 400, "ef_search": 1_024},
    debrief=(
        "A graph over full vectors cannot fit: its vectors alone take 100 %. A byte a coordinate takes a quarter and loses almost nothing, "
        "so eight cells of 256 are enough. Four-bit codes take half of that again and stop at recall 0.5, whatever is probed; "
        "re-scored with the bytes beside them they pass too, at a third of the memory."
    ),
)
