"""What the lab `fleet_day` lets a user choose."""

from __future__ import annotations

from typing import Literal

from simulators.lab import LabParams, param

Routing = Literal["router", "oracle", "blind", "mini", "full", "reasoning"]
Policy = Literal["static", "reactive", "predictive", "hybrid"]
Path = Literal["serial", "parallel", "streaming", "optimistic"]
ROUTED = {"routing": ["router", "oracle", "blind"]}
SCALED = {"policy": ["reactive", "predictive", "hybrid"]}
FORECAST = {"policy": ["predictive", "hybrid"]}
WINDOWED = {"safety": ["streaming", "optimistic"]}


class FleetDayParams(LabParams):
    """Models, autoscaler, load, safety. Of the load only the regions act on the user's own curve."""

    routing: Routing = param(
        "router",
        title="Models",
        group="Models",
        labels={
            "router": "Router",
            "oracle": "Router that knows the difficulty",
            "blind": "Router that sees next to nothing",
            "mini": "All mini",
            "full": "All full",
            "reasoning": "All reasoning",
        },
        help="Which model answers a query.",
    )
    router_noise: float = param(
        0.5,
        title="Router noise",
        unit="difficulty units",
        ge=0,
        le=9,
        soft=(0, 4),
        step=0.1,
        group="Models",
        shown_when={"routing": ["router"]},
        help="Standard error with which the router guesses the difficulty of a query; difficulties span about -4 to 4.",
    )
    quality_price: float = param(
        0.05,
        title="Price of a GPU second",
        unit="quality/GPU-s",
        ge=0.005,
        le=3,
        scale="log",
        group="Models",
        shown_when=ROUTED,
        help="How much expected quality the router gives up to save one GPU second on a query.",
    )
    retry: float = param(
        0.2,
        title="Chance of a retry",
        unit="share of wrong answers",
        ge=0,
        le=1,
        step=0.05,
        group="Models",
        help="Wrong answers asked for again.",
    )
    policy: Policy = param(
        "reactive",
        title="Autoscaler",
        group="Autoscaler",
        help="Static: peak size all day. Reactive: by the load just seen. Predictive: by the forecast. Hybrid: the larger of both.",
    )
    lag_from: Literal["given", "derived"] = param(
        "given",
        title="Lag",
        group="Autoscaler",
        labels={"given": "As given", "derived": "From its parts"},
        shown_when=SCALED,
        help="Time from order to service: one number, or machine, weights over the link and warm-up of each model.",
    )
    lag_s: float = param(
        300.0,
        title="Lag of a new replica",
        unit="s",
        ge=10,
        le=1_200,
        scale="log",
        group="Autoscaler",
        shown_when={"lag_from": ["given"]},
        help="From order to service.",
    )
    provisioning_s: float = param(
        120.0,
        title="Machine ready after",
        unit="s",
        ge=0,
        le=900,
        group="Autoscaler",
        shown_when={"lag_from": ["derived"]},
        help="Boot, drivers, container.",
    )
    weights_gb_s: float = param(
        2.0,
        title="Weights loaded at",
        unit="GB/s",
        ge=0.1,
        le=50,
        scale="log",
        group="Autoscaler",
        shown_when={"lag_from": ["derived"]},
        help="16 GB for mini, 71 GB for full and 141 GB for reasoning pass over this link.",
    )
    warm_up_s: float = param(
        30.0,
        title="Warm-up",
        unit="s",
        ge=0,
        le=300,
        group="Autoscaler",
        shown_when={"lag_from": ["derived"]},
        help="Compilation, graph capture, first requests.",
    )
    target: float = param(
        0.7, title="Target utilisation", unit="share", ge=0.3, le=0.95, step=0.05, group="Autoscaler", help="Load over capacity aimed at."
    )
    interval_s: float = param(
        60.0,
        title="Looks every",
        unit="s",
        ge=10,
        le=600,
        scale="log",
        group="Autoscaler",
        shown_when=SCALED,
        help="Interval of the autoscaler.",
    )
    headroom: float = param(
        1.15,
        title="Headroom over the forecast",
        unit="times",
        ge=1,
        le=2,
        step=0.05,
        group="Autoscaler",
        shown_when=FORECAST,
        help="Capacity for so many times the forecast maximum; acts where it exceeds one over the target.",
    )
    cooldown_s: float = param(
        600.0,
        title="Cool-down",
        unit="s",
        ge=0,
        le=3_600,
        group="Autoscaler",
        shown_when=SCALED,
        help="Replicas go only after they were not wanted for so long.",
    )
    warm: int = param(
        0, title="Warm standbys", unit="replicas/pool", ge=0, le=20, group="Autoscaler", help="Paid for, up, and serving as soon as wanted."
    )
    admission: Literal["none", "free", "all"] = param(
        "none",
        title="Under overload shed",
        group="Autoscaler",
        labels={"none": "Nobody", "free": "The free tier", "all": "Any tier"},
        help="Requests that would wait longer than 2 s are turned away, as far as they belong to those that may be. 70 % are free users.",
    )
    spike: float = param(
        1.0, title="Unforeseen spike", unit="times", ge=1, le=3, step=0.1, group="Load", help="For half an hour from 15:00, in no forecast."
    )
    regions: int = param(
        1, title="Regions", unit="regions", ge=1, le=3, group="Load", help="Evenly around the world; each has its own morning."
    )
    spill: bool = param(
        False,
        title="Spill between regions",
        group="Load",
        help="One global balancer: a busy region sends requests to those asleep, 120 ms away.",
    )
    gpu_usd_h: float = param(
        2.0, title="GPU price", unit="$/GPU-h", ge=0.1, le=20, scale="log", group="Load", help="Of every replica that is up."
    )
    safety: Path = param(
        "streaming",
        title="Safety path",
        group="Safety",
        help="Serial: input check, answer, output check, then show. Parallel: the input check beside the prefill. Streaming: windows of "
        "the answer are held back until checked. Optimistic: shown at once, checked after.",
    )
    window: int = param(
        32,
        title="Window",
        unit="tokens",
        ge=8,
        le=512,
        scale="log",
        group="Safety",
        shown_when=WINDOWED,
        help="Tokens between two output checks.",
    )
    recheck: bool = param(
        True,
        title="Each check reads all so far",
        group="Safety",
        shown_when=WINDOWED,
        help="Harm can build up over windows; the work grows with the square.",
    )
    answer_tokens: int = param(
        350, title="Answer", unit="tokens", ge=20, le=4_000, scale="log", group="Safety", help="Length of a visible answer."
    )
