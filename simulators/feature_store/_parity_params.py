"""What the parity lab lets a user choose."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulators.lab import LabParams, param

Fault = Literal["none", "timezone", "unit", "missing_zero", "missing_null", "window", "stalled", "wrong_key"]
Monitor = Literal["psi", "parity", "golden", "freshness"]
FAULTS: tuple[Fault, ...] = ("timezone", "unit", "missing_zero", "missing_null", "window", "stalled", "wrong_key")
FAULT_NAMES: dict[str, str] = {
    "none": "None",
    "timezone": "Time zone, 8 h off",
    "unit": "Unit, times 100",
    "missing_zero": "20 % missing, served as 0",
    "missing_null": "20 % missing, served as null",
    "window": "8 days for 7",
    "stalled": "Stream stalled",
    "wrong_key": "Wrong entity key",
}
MONITOR_NAMES: dict[str, str] = {
    "psi": "Distribution (PSI)",
    "parity": "Parity by recomputation",
    "golden": "Golden entities",
    "freshness": "Freshness",
}
REQUESTS_PER_S = 1_000
FEWEST_ROWS = 30


class ParityParams(LabParams):
    fault: Fault = param("timezone", title="Fault", group="fault", help="What is wrong with the served features.", labels=FAULT_NAMES)
    affected: float = param(
        100.0,
        title="Requests affected",
        unit="%",
        ge=0.1,
        le=100,
        scale="log",
        group="fault",
        help="Share of requests that the fault hits.",
    )
    monitor: tuple[Monitor, ...] = param(
        ("psi",), title="Monitors", group="monitor", help="What watches. The quickest of them counts.", labels=MONITOR_NAMES
    )
    recompute: Literal["as_known_at", "event_time"] = param(
        "as_known_at",
        title="Recompute",
        group="monitor",
        help="With what the store could know at the request, or with everything that had happened by then.",
        labels={"as_known_at": "As known at the request", "event_time": "By event time"},
        shown_when={"monitor": ["parity"]},
    )
    sample: float = param(
        0.1,
        title="Requests sampled",
        unit="%",
        ge=0.001,
        le=100,
        scale="log",
        group="monitor",
        help="Of 1,000 requests a second: logged for the distribution, and recomputed for parity.",
        shown_when={"monitor": ["psi", "parity"]},
    )
    rtol: float = param(
        1e-6,
        title="Tolerance",
        ge=1e-9,
        le=0.1,
        scale="log",
        group="monitor",
        help="Relative difference that still counts as equal.",
        shown_when={"monitor": ["parity", "golden"]},
    )
    interval: int = param(5, title="Check every", unit="min", ge=1, le=1_440, scale="log", group="monitor", help="Period of all checks.")
    golden_n: int = param(
        500,
        title="Golden entities",
        unit="entities",
        ge=10,
        le=10_000,
        scale="log",
        group="monitor",
        help="Entities whose right values are known, asked for at every check.",
        shown_when={"monitor": ["golden"]},
    )
    sla: float = param(
        60.0,
        title="Freshness promised",
        unit="s",
        ge=1,
        le=86_400,
        scale="log",
        group="monitor",
        help="99 % of requests are to see the stream's features no older than this.",
    )

    @model_validator(mode="after")
    def _enough_rows(self) -> Self:
        if not self.monitor:
            raise ValueError(f"Monitors: nothing was given; expected one or more of {', '.join(MONITOR_NAMES)}.")
        if {"psi", "parity"} & set(self.monitor) and self.rows < FEWEST_ROWS:
            raise ValueError(f"Sample {self.sample:g} % gives {self.rows} rows an interval; at least {FEWEST_ROWS} needed.")
        return self

    @property
    def requests(self) -> int:
        """Requests of one interval."""
        return REQUESTS_PER_S * 60 * self.interval

    @property
    def rows(self) -> int:
        """Sampled rows of one interval."""
        return round(self.requests * self.sample / 100)
