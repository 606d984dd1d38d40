"""The design task of the lab `online`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

FRESH_AND_FAST = Challenge(
    slug="fifty_candidates_in_half_a_millisecond",
    title="Fifty candidates in half a millisecond",
    brief=(
        "A ranker asks for **50 candidates, 5 views of 3 features each**. Four views come from a daily batch, one from a stream.\n\n"
        "* Half of the fetches within **0.5 ms**, on this site's Redis, beside a reference read in the same job.\n"
        "* The streaming view at most **10 s** old at the 99th percentile.\n"
        "* A streaming write may write at most **2 times** the bytes that changed.\n"
        "* At most **1,000 bytes** of memory an entity.\n\n"
        "Given are the load, the stream's lag and the network. You choose the layout, the access and the cache."
    ),
    world={
        "entities": 50,
        "views": 5,
        "features": "",
        "missing": 2.0,
        "default": "null",
        "update_rate": 1_000,
        "batch_hours": 24.0,
        "stream_lag": 2.0,
        "stall": 0,
        "rtt": 0.5,
        "shards": 8,
        "slow": 1.0,
        "requests": 300,
    },
    design=("layout", "access", "cache_ttl", "cached"),
    assertions=(
        Assertion("p50_ms", "<=", 0.5, "ms", "target", reference_value=0.09, label="Fetch, median"),
        Assertion("stream_age_p99_s", "<=", 10.0, "s", "target", label="Age of the streaming view, 99th percentile"),
        Assertion("write_amplification", "<=", 2.0, "x", "ceiling", label="Write amplification"),
        Assertion("entity_bytes", "<=", 1_000.0, "B", "ceiling", label="Memory of one entity"),
    ),
    reference={"layout": "split_blob", "access": "one_pipeline"},
    alternative={"layout": "row_hash", "access": "one_pipeline", "cache_ttl": 600.0, "cached": "batch"},
    naive={"layout": "view_hash", "access": "serial"},
    maxed={"layout": "blob", "access": "one_pipeline", "cache_ttl": 600.0, "cached": "all"},
    debrief=(
        "What a read costs is commands: 250 of them for a hash a view, 50 for a hash an entity, one for packed strings. One string for "
        "everything is the fastest and writes five times what changed; two strings, batch and stream, give up a fraction of a tenth of a "
        "millisecond for writes without waste. The other way is not to ask: batch features change once a day, so the process may keep "
        "them and read the stream alone. A cache that holds the stream too is fast and stale."
    ),
)
