"""The options of `simulate` that come as dictionaries: router, prefix cache, pools, speculation. Checked and given their defaults here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from simulators.engines.serving.scheduler import at_least, choose
from simulators.errors import InvalidInput

ROUTERS = ("round_robin", "random", "least_loaded", "least_pending", "session", "bounded_hash", "max_prefix", "cost")
EVICTIONS = ("lru", "fifo", "lfu")
DRAFTERS = ("ngram", "draft", "eagle")
T = TypeVar("T")


@dataclass(frozen=True)
class Router:
    """signal_delay_s: age of what the router knows of loads and of newly cached blocks (that a block went it learns at once).
    load_factor: `bounded_hash`, the load over the mean at which a replica is passed over."""

    kind: str = "round_robin"
    signal_delay_s: float = 0.0
    load_factor: float = 1.25

    def __post_init__(self) -> None:
        choose("router", self.kind, ROUTERS)
        at_least("signal_delay_s", self.signal_delay_s, 0)
        at_least("load_factor", self.load_factor, 1)


@dataclass(frozen=True)
class Tier:
    """A slower place for prefix blocks: capacity in blocks, GB/s to the GPUs, one for all replicas or one each."""

    blocks: int
    gb_s: float
    shared: bool = False

    def __post_init__(self) -> None:
        at_least("blocks", self.blocks, 0)
        if not self.gb_s > 0:
            raise InvalidInput(f"gb_s is {self.gb_s}; expected GB/s above 0.", field="gb_s")


@dataclass(frozen=True)
class PrefixCache:
    """blocks: of the trace's `block_tokens`, on each replica, 0 = none; policy: lru, fifo, lfu; tiers: slower ones, fastest first;
    decode: keep the blocks of answers too, as far as the trace names them; min_blocks: shorter matches are not used."""

    blocks: int
    policy: str = "lru"
    tiers: Sequence[Mapping[str, Any]] = ()
    decode: bool = False
    min_blocks: int = 1

    def __post_init__(self) -> None:
        at_least("prefix_cache blocks", self.blocks, 0)
        at_least("min_blocks", self.min_blocks, 1)
        choose("prefix_cache policy", self.policy, EVICTIONS)

    def all_tiers(self) -> list[Tier]:
        first = [Tier(self.blocks, float("inf"))] if self.blocks else []
        slower = [from_mapping(Tier, "tier", tier) for tier in self.tiers]
        return first + [tier for tier in slower if tier.blocks]


@dataclass(frozen=True)
class Pools:
    """Replicas of each kind; of the prefill ones, `long` read only prompts above `long_threshold` tokens. link_gb_s: of one prefill
    replica. base_s: latency of a transfer. overlap: layer by layer during the prefill. decode_cost: a CostModel, where the decode
    replicas are other machines; decode_blocks: KV blocks of each of them."""

    prefill: int
    decode: int
    long: int = 0
    long_threshold: int = 8000
    link_gb_s: float = 50.0
    base_s: float = 0.0
    overlap: bool = False
    decode_cost: Any = None
    decode_blocks: int | None = None

    def __post_init__(self) -> None:
        at_least("prefill replicas", self.prefill, 1)
        at_least("decode replicas", self.decode, 1)
        at_least("long replicas", self.long, 0)
        at_least("base_s", self.base_s, 0)
        if self.long >= self.prefill:
            message = f"{self.long} of {self.prefill} prefill replicas are kept for long prompts; expected at least one for the others."
            raise InvalidInput(message, field="long")
        if not self.link_gb_s > 0:
            raise InvalidInput(f"link_gb_s is {self.link_gb_s}; expected GB/s above 0.", field="link_gb_s")


@dataclass(frozen=True)
class Speculation:
    """k drafted tokens a step, each accepted with chance alpha, each drafted at `draft_cost` plain steps."""

    kind: str = "draft"
    k: int = 4
    alpha: float = 0.8
    draft_cost: float = 0.03

    def __post_init__(self) -> None:
        choose("spec kind", self.kind, ("none", *DRAFTERS))
        at_least("k", self.k, 0)
        at_least("draft_cost", self.draft_cost, 0)
        if not 0 <= self.alpha <= 1:
            raise InvalidInput(f"alpha is {self.alpha}; expected an acceptance rate from 0 to 1.", field="alpha")


def from_mapping(cls: type[T], name: str, given: Mapping[str, Any]) -> T:
    """The options object, or an InvalidInput that names what is missing or unknown."""
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidInput(f"{name} knows no {', '.join(unknown)}; expected {', '.join(known)}.", field=name)
    try:
        return cls(**given)
    except TypeError as error:
        raise InvalidInput(f"{name} is incomplete: {error}; expected {', '.join(known)}.", field=name) from error
