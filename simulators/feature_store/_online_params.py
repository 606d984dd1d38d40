"""What the online lab lets a user choose."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from simulators.engines.features.online import Access, Layout, OnlineStore
from simulators.lab import LabParams, param

FEATURES_A_VIEW = 3
MAX_VIEWS = 20
_BATCH = ("user", "item", "seller", "device", "geo", "price", "review", "search", "email", "cart", "refund", "loyalty", "support", "ad")
_SOCIAL = ("social", "catalog", "payment", "shipping", "coupon")
_LIVE = ("user_live", "item_live", "session_live", "ad_live")


def schema_of(views: int) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """{view: features} and the views a stream writes: every fifth, at least one."""
    live = _LIVE[: max(1, views // 5)]
    batch = [f"{name}_stats" for name in (*_BATCH, *_SOCIAL)[: views - len(live)]]
    schema: dict[str, tuple[str, ...]] = dict.fromkeys(batch, ("count_7d", "sum_28d", "mean_90d"))
    return schema | dict.fromkeys(live, ("count_5m", "count_1h", "sum_1h")), live


class OnlineParams(LabParams):
    layout: Layout = param(
        "view_hash",
        title="Layout",
        group="store",
        help="A hash for each view and entity; one hash an entity; one packed string an entity; two strings, batch and streaming apart.",
        labels={"view_hash": "Hash per view", "row_hash": "Hash per entity", "blob": "One blob", "split_blob": "Two blobs"},
    )
    access: Access = param(
        "serial",
        title="Access",
        group="store",
        help="A round trip for each command; a pipeline for each view; everything in one pipeline.",
        labels={"serial": "One by one", "per_view": "Pipeline a view", "one_pipeline": "One pipeline"},
    )
    cache_ttl: float = param(
        0.0,
        title="Cache, time to live",
        unit="s",
        ge=0,
        le=600,
        step=10,
        group="store",
        help="How long the serving process keeps what it read; 0: no cache. 100 requests a second reach the process.",
    )
    cached: Literal["batch", "all"] = param(
        "batch",
        title="Cached views",
        group="store",
        help="Only the views a batch job writes, or the streaming ones too.",
        labels={"batch": "Batch views", "all": "All views"},
    )
    entities: int = param(
        50, title="Entities", unit="entities", ge=1, le=500, scale="log", group="request", help="Candidates whose features a request needs."
    )
    views: int = param(
        5,
        title="Views",
        unit="views",
        ge=1,
        le=MAX_VIEWS,
        scale="log",
        group="request",
        help="Feature views a request needs, of three features each; every fifth, and at least one, is written by a stream.",
    )
    features: str = param(
        "",
        title="Features asked",
        group="request",
        max_items=400,
        help="Empty: all of them. Otherwise names as in user_stats:count_7d, separated by commas.",
    )
    missing: float = param(
        2.0,
        title="Unknown entities",
        unit="%",
        ge=0,
        le=100,
        step=1,
        group="request",
        help="Share of the entities the store has never seen.",
    )
    default: Literal["null", "zero"] = param(
        "null",
        title="Served for what is missing",
        group="request",
        help="Null tells the model that the value is missing; zero looks like data.",
        labels={"null": "Null", "zero": "Zero"},
    )
    update_rate: int = param(
        1_000,
        title="Streaming writes",
        unit="writes/s",
        ge=1,
        le=100_000,
        scale="log",
        group="writers",
        help="Updates of one view of one entity that the stream sends.",
    )
    batch_hours: float = param(
        24.0,
        title="Batch period",
        unit="h",
        ge=1,
        le=48,
        scale="log",
        group="freshness",
        help="Time between two batch jobs; each runs 1 h.",
    )
    stream_lag: float = param(
        2.0, title="Stream lag, median", unit="s", ge=0.1, le=600, scale="log", group="freshness", help="From an event to its feature."
    )
    stall: int = param(
        0, title="Stream stopped for", unit="s", ge=0, le=86_400, group="freshness", help="How long ago the stream writer stopped working."
    )
    rtt: float = param(
        0.5,
        title="Network round trip, median",
        unit="ms",
        ge=0,
        le=50,
        soft=(0, 5),
        step=0.1,
        group="network",
        help="Simulated: the store of this site answers on the same machine.",
    )
    shards: int = param(
        8, title="Shards", unit="shards", ge=1, le=100, scale="log", group="network", help="Simulated: keys are spread over them by hash."
    )
    slow: float = param(
        1.0,
        title="Slow replies",
        unit="%",
        ge=0,
        le=20,
        step=0.5,
        group="network",
        help="Simulated: share of a shard's replies that take ten times as long.",
    )
    requests: int = param(
        300,
        title="Measured reads",
        unit="reads",
        ge=50,
        le=5_000,
        scale="log",
        group="measure",
        help="At most; measuring ends after 2.5 s.",
    )

    @property
    def asked(self) -> list[str]:
        """The features a request asks for, each as "view:feature"."""
        named = [name.strip() for name in self.features.split(",") if name.strip()]
        return named or [f"{view}:{feature}" for view, names in schema_of(self.views)[0].items() for feature in names]

    @model_validator(mode="after")
    def _known_features(self) -> OnlineParams:
        store = OnlineStore(None, schema_of(self.views)[0])
        for name in self.asked:
            store.resolve(name)
        return self
