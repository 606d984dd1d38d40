"""What a run of the market question says in words."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.experimentation._interference_market import Sample, Study
from simulators.experimentation._interference_params import DESIGN_LABELS
from simulators.lab import Insight


def insights(study: Study) -> list[Insight]:
    return [*_chosen(study), *_users(study), *_clusters(study), *_switchback(study), *_analysis(study)]


def _chosen(study: Study) -> Iterator[Insight]:
    s, label = study.chosen, DESIGN_LABELS[study.params.design]
    error = f" (s.e. {s.bias_se:.2f})" if s.bias_se is not None else ""
    yield Insight(
        f"{label}: the mean estimate is {s.mean:+.2f} %, a launch to everybody gives {s.truth:+.2f} %: bias {s.bias:+.2f} pp{error}, "
        f"RMSE {s.rmse:.2f} pp.",
        "evaluation",
        "against_the_truth",
    )
    if s.error:
        yield Insight(s.error, "evaluation", "no_interval")


def _users(study: Study) -> Iterator[Insight]:
    s, p = study.designs["user"], study.params
    if not _clear(s):
        return
    if abs(s.bias) > 0.1 * abs(p.delta) > 0:
        yield Insight(
            f"A split by user reads {s.mean:+.1f} %, near the {p.delta:+g} % that demand moved, for a true {s.truth:+.1f} %: the drivers "
            "its treated riders gained were taken from its control.",
            "clarify",
            "user_split_biased",
        )


def _clusters(study: Study) -> Iterator[Insight]:
    plain, adjusted = study.designs["cluster"], study.designs["cluster_pre"]
    if plain.sd and adjusted.sd and study.params.pre_days and adjusted.sd < 0.8 * plain.sd:
        yield Insight(
            f"Unequal regions make clusters noisy (s.d. {plain.sd:.1f} pp); {study.params.pre_days} days of history bring it to "
            f"{adjusted.sd:.1f} pp.",
            "deep_dive",
            "history_helps_clusters",
        )
    if study.params.drift > 0 and _clear(plain):
        yield Insight(
            f"Idle drivers leave for neighbour regions, so clusters leak too: bias {plain.bias:+.1f} pp.", "deep_dive", "clusters_leak"
        )


def _switchback(study: Study) -> Iterator[Insight]:
    windows = study.windows
    short, long = min(windows), max(windows)
    a, b = windows[short], windows[long]
    if a.sd and b.sd and b.sd > 1.3 * a.sd:
        yield Insight(
            f"Longer windows are fewer units: the s.d. goes from {a.sd:.1f} pp at {short} min to {b.sd:.1f} pp at {long} min.",
            "deep_dive",
            "windows_and_noise",
        )
    if _clear(a):
        yield Insight(
            f"Windows of {short} min err by {a.bias:+.1f} pp (s.e. {a.bias_se:.1f}): each begins with the supply the last one left.",
            "deep_dive",
            "carryover",
        )


def _analysis(study: Study) -> Iterator[Insight]:
    s, p = study.chosen, study.params
    if s.coverage is None:
        return
    if p.analysis == "order_iid" and p.design != "user" and s.coverage < 0.8:
        deff = sum(s.deff) / len(s.deff) if s.deff else None
        cost = f"; {deff:.0f} orders carry what one independent order would" if deff else ""
        yield Insight(
            f"Orders taken as units give intervals that hold the truth in {s.coverage:.0%} of worlds instead of 95 %{cost}.",
            "evaluation",
            "orders_are_not_units",
        )
    if p.analysis == "fixed_effects" and p.design == "switchback" and s.sd:
        plain, within = study.plain.sd, study.windows[p.window].sd
        if plain and within and within < 0.8 * plain:
            yield Insight(
                f"Comparing a region with itself at the same hour brings the s.d. from {plain:.2f} to {within:.2f} pp; "
                f"its intervals hold the truth in "
                f"{s.coverage:.0%} of worlds.",
                "deep_dive",
                "fixed_effects",
            )


def _clear(sample: Sample) -> bool:
    """Biased beyond three standard errors."""
    return sample.bias_se is not None and abs(sample.bias) > 3 * sample.bias_se
