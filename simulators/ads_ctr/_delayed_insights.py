"""What a study of late conversions shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.ads_ctr._delayed_params import SHORT
from simulators.ads_ctr._delayed_study import Launches, Study
from simulators.lab import Insight

RIGHT = 0.1  # of the true rate
EXPONENTIAL = 0.1  # of shape 1


def insights(study: Study, by_launch: Launches | None) -> list[Insight]:
    return [*_naive(study), *_wait(study), *_joint(study), *_law(study), *_overall(study), *_launch(study, by_launch)]


def _naive(study: Study) -> Iterator[Insight]:
    if "naive" in study.judged:
        yield Insight(
            f"Of the {study.all_new:,} conversions that the new campaign's clicks will bring, {study.seen_new:,} have arrived; counting "
            f"the others as negatives, the naive model predicts {study.judged['naive'].ratio:.2f} of its true rate, and a bidder would "
            "spend as little.",
            "deep_dive",
            "naive",
        )


def _wait(study: Study) -> Iterator[Insight]:
    if "wait" not in study.judged:
        return
    found, p = study.judged["wait"], study.params
    if found.model.youngest_days > p.new_days:
        yield Insight(
            f"Waiting {p.wait_days:g} d drops every click of a campaign launched {p.new_days:g} d ago: the model takes it for an ordinary "
            f"one and predicts {found.ratio:.2f} of its rate. What needs learning most is what a wait leaves out.",
            "deep_dive",
            "wait",
        )
    else:
        yield Insight(
            f"A wait of {p.wait_days:g} d keeps some clicks of the new campaign and reads {found.ratio:.2f} of its rate from them.",
            "deep_dive",
            "wait_keeps",
        )


def _joint(study: Study) -> Iterator[Insight]:
    noise = 2 / np.sqrt(max(1, study.seen_new))  # of the count of conversions alone
    for method in ("dfm", "ipw"):
        if method not in study.judged:
            continue
        found = study.judged[method]
        how = (
            "asks of each silent click whether it will not convert or has not yet"
            if method == "dfm"
            else "lets each conversion stand for those of the same age that are still to come"
        )
        inside = abs(found.ratio - 1) <= noise
        verdict = f"within their noise (two standard deviations are at least {noise:.0%})" if inside else f"off by {found.ratio - 1:+.0%}"
        yield Insight(
            f"{SHORT[method]} {how}: {found.ratio:.2f} of the new campaign's rate from {study.seen_new:,} conversions seen, {verdict}; "
            f"excess log loss {found.excess:.1f}.",
            "deep_dive",
            method,
        )


def _law(study: Study) -> Iterator[Insight]:
    if abs(study.params.shape - 1) <= EXPONENTIAL or not {"dfm", "ipw"} <= set(study.judged):
        return
    dfm, ipw = study.judged["dfm"].ratio, study.judged["ipw"].ratio
    apart = "err in opposite directions" if (dfm - 1) * (ipw - 1) < 0 else "err on the same side"
    yield Insight(
        f"The delay law is the assumption: with a Weibull shape of {study.params.shape:g} both exponential models {apart}, DFM at "
        f"{dfm:.2f} and IPW at {ipw:.2f} of the true rate. Look at the fitted curves before you trust either.",
        "evaluation",
        "delay_law",
    )


def _overall(study: Study) -> Iterator[Insight]:
    mine, new = study.mine, float(np.mean(study.world.is_new))
    if abs(mine.ratio - 1) > RIGHT:
        yield Insight(
            f"On all traffic, {new:.0%} of it the new campaign's, {SHORT[study.params.method]} reads {mine.ratio_all:.2f}; on the new "
            f"campaign alone {mine.ratio:.2f}. Watch calibration by age of the campaign, not in one number.",
            "evaluation",
            "overall",
        )


def _launch(study: Study, found: Launches | None) -> Iterator[Insight]:
    if found is None or "naive" not in found.ratio:
        return
    yield Insight(
        f"Time heals the naive model slowly: {found.ratio['naive'][0]:.2f} of the rate {found.days[0]:g} day after the launch, "
        f"{found.ratio['naive'][-1]:.2f} after {found.days[-1]:g} days.",
        "capacity",
        "launch",
    )
