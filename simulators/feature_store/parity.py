"""Lab: is what you serve what you trained on, how fresh is it, and which monitor notices."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.feature_store import _parity_views as views
from simulators.feature_store import _pit_model
from simulators.feature_store._parity_challenge import EVERY_FAULT
from simulators.feature_store._parity_insights import insights
from simulators.feature_store._parity_live import live
from simulators.feature_store._parity_monitors import damages, watches
from simulators.feature_store._parity_params import ParityParams
from simulators.feature_store._parity_views import Found
from simulators.feature_store._parity_world import world
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps


class ParityLab(Lab):
    """Is what you serve what you trained on, how fresh is it, and which monitor notices?

    **World.** 60,000 requests with four features (clicks of 7 days, hour of the last visit, cart value, clicks of the session) and boosted
    trees trained on another day. Click probabilities are known. Two users in a hundred have no history and are served null; three values
    in ten thousand change between read and log.

    **Faults.** Hours eight off; cents for dollars; a fifth of the click counts lost and served as 0, or as null; an eighth day in the
    window; a stream that stops, so that later sessions read 0; clicks of another user. The chosen one hits the chosen share of requests,
    and the whole catalogue is measured beside it.

    **Monitors.** The stability index compares a sample with the training day in ten quantile bins and rings above 0.2. Parity logs served
    vectors and recomputes them; golden entities are asked for at every check and their right answers are known. Both ring when more rows
    differ than one in a thousand explains, at a chance of 1 in 100,000 a check. Freshness rings when the 99th percentile of the age is
    above the promise. Times to an alarm are means over the moment at which a fault begins, computed from each check's chance to ring
    (binomial; for the index from 400 drawn samples).

    **The live stream.** 24 checks of 100 requests around the fault: writers put each feature into the online store with the time of its
    value, faults act where they would (a writer that shifts hours, a write that never comes, a reader with a wrong key), requests read it
    back, and what they got is compared with the recomputation. Mismatch over time and ages are what the store answered, on the world's
    clock.
    """

    title = "Parity and freshness"
    why = (
        "Drift alarms rank faults in the wrong order: a wrong key has perfect distributions. An interviewer wants serve, log, recompute "
        "and compare, a freshness promise, and what both cost."
    )
    phase = "evaluation"
    map_axes = ("recomputed", "slowest_min")
    engines = (
        "simulators.engines.features.parity",
        "simulators.engines.features.freshness",
        "simulators.engines.features.online",
    )
    sources = (
        "Chronon documentation, online/offline consistency",
        "Breck et al. 2017, The ML test score (training and serving skew)",
        "Siddiqi 2006, Credit risk scorecards (population stability index)",
    )
    Params = ParityParams
    challenges = (EVERY_FAULT,)
    presets = (
        Preset(
            "distribution_looks_fine",
            "The distribution looks fine",
            "Everybody gets somebody else's clicks. The index reads 0 and the model loses most of what it knew.",
            {"fault": "wrong_key"},
        ),
        Preset("cents", "Cents", "Cart values in cents: the loudest alarm of all, and hardly any harm to the ranking.", {"fault": "unit"}),
        Preset(
            "midnight_in_singapore",
            "Midnight in Singapore",
            "Hours shifted by eight: a circle turned has the same distribution. Comparing rows sees it at the next check.",
            {"monitor": ("psi", "parity")},
        ),
        Preset(
            "defaults_everywhere",
            "Defaults everywhere",
            "A fifth of the counts is lost and served as 0, which looks like data. Served as null it would cost about a third.",
            {"fault": "missing_zero", "monitor": ("psi", "golden")},
        ),
        Preset(
            "nobody_noticed",
            "The stream stopped",
            "Parity compares with what was known, and nobody knew better. Only the age of the values tells.",
            {"fault": "stalled", "monitor": ("parity", "freshness"), "sample": 0.2},
        ),
        Preset(
            "late_as_skew",
            "Late is not wrong",
            "Recomputed by event time, late clicks look like skew, and the alarm rings all day on a healthy system.",
            {"fault": "none", "monitor": ("parity",), "recompute": "event_time"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        _pit_model.load("boosting")

    def run(self, params: ParityParams, ctx: Context) -> Steps:
        _pit_model.load("boosting")  # a worker has done so when it started
        yield Frame(views.known_at_once(params))
        drawn = yield from world(ctx)
        measured = yield from damages(ctx, drawn, params)
        yield Frame(views.damage_metrics(measured[params.fault], measured["none"]))
        watched = yield from watches(ctx, drawn, params, measured)
        found = Found(params, measured, watched, (yield from live(ctx, drawn, params)))
        return Result(
            views.metrics(found),
            list(views.figures(found)),
            [views.fault_table(found), views.live_table(found), views.monitor_table(found)],
            list(insights(found)),
            list(_notes(found)),
        )


def _notes(found: Found) -> Iterator[str]:
    if not found.live.real_store:
        yield "No Redis answered: the live stream ran through a store in the process."
    if found.params.monitor == ("freshness",) and found.params.fault not in ("stalled", "none"):
        yield "Freshness alone sees ages, not values."
