"""Lab: conversion rates today, when conversions arrive over a month."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.ads_ctr import _delayed_views as views
from simulators.ads_ctr._delayed_challenge import LEARN_TODAY
from simulators.ads_ctr._delayed_data import SPEC
from simulators.ads_ctr._delayed_insights import insights
from simulators.ads_ctr._delayed_own import run_own
from simulators.ads_ctr._delayed_params import DelayedParams
from simulators.ads_ctr._delayed_study import MOST_SWEPT, Launches, launches, study_steps
from simulators.engines.ranking.worlds.delay import TEST_CLICKS
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps


class DelayedFeedback(Lab):
    """How do you learn conversion rates today when conversions arrive over 30 days?

    **The world.** A log of 30 days of clicks. The log-odds that a click converts are linear in five features, plus a lift for the clicks of
    a new campaign; the delay from click to conversion follows a Weibull law whose mean depends on the features. Conversions later than
    the attribution window do not count. The log shows only what has arrived by now, so the youngest clicks look like non-converters, and
    the new campaign has nothing but young clicks.

    **The methods**, all linear. *Naive* takes what has not converted for a negative. *Wait* drops young clicks. *DFM* (Chapelle 2014) fits
    the chance to convert and an exponential delay together. *IPW* fits an exponential delay to the conversions seen, each known only to
    lie within the age of its click, and lets a conversion count for one over the share that has arrived at its age.

    **The judge.** 20,000 clicks of today's traffic whose chance to convert is known: predicted over true conversions on the new campaign
    and on all traffic, and the excess log loss over the truth. With a bid proportional to the predicted rate, spend on the campaign is
    wrong by the same factor.

    With your own file of clicks the log is cut at earlier dates, and what happened afterwards is the truth.
    """

    title = "Delayed feedback"
    why = "No conversion yet is not a negative, waiting makes the model stale, and joint models lean on a delay law nobody checked."
    engines = ("simulators.engines.ranking.delayed", "simulators.engines.ranking.worlds.delay")
    sources = (
        "Chapelle 2014, Modeling delayed feedback in display advertising, KDD",
        "Ktena et al. 2019, Addressing delayed feedback for continuous training with neural networks in CTR prediction, RecSys",
        "Yasui, Morishita, Fujita & Shibata 2020, A feedback shift correction in predicting conversion rates under delayed feedback, WWW",
        "Liu & Nocedal 1989, On the limited memory BFGS method for large scale optimization, Mathematical Programming 45",
    )
    map_axes = ("label_age", "bid_xll")
    Params = DelayedParams
    data = SPEC
    challenges = (LEARN_TODAY,)
    presets = (
        Preset(
            "launched_on_friday",
            "Launched on Friday",
            "It is Monday, the model waits a week for its labels, and the new campaign does not exist for it.",
            {"method": "wait", "new_days": 3.0},
        ),
        Preset(
            "heavy_tail",
            "Heavy tail",
            "Nearly half of the conversions come within a day, others take weeks. Both delay models assume otherwise: see where each ends.",
            {"method": "dfm", "shape": 0.5},
        ),
        Preset(
            "chapelles_clicks",
            "Chapelle's clicks (35 % in 1 h, 50 % in 24 h)",
            "In the display ads of the paper 35 % of the conversions came within the hour and half within a day. This is the nearest that "
            "a Weibull law of these bounds comes; the tiles say how near.",
            {"method": "dfm", "shape": 0.3, "mean_delay": 15.0},
        ),
    )

    def run(self, params: DelayedParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = yield from study_steps(params, ctx, lambda so_far: Frame(views.metrics(so_far), views.figures(so_far, None)))
        by_launch = yield from launches(params, ctx)
        return Result(
            metrics=views.metrics(study),
            figures=views.figures(study, by_launch),
            tables=[views.table(study)],
            insights=insights(study, by_launch),
            notes=list(_notes(by_launch)),
        )


def _notes(by_launch: Launches | None) -> Iterator[str]:
    yield f"Judged on {TEST_CLICKS:,} clicks whose chance to convert is known."
    if by_launch is None:
        yield f"Other launches are left out above {MOST_SWEPT:,} clicks."
