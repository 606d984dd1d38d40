"""Lab: what wrong probabilities cost in an auction, and which calibrator repairs them."""

from __future__ import annotations

from simulators.ads_ctr import _calib_views as views
from simulators.ads_ctr._calib_challenge import BIDS_THAT_MEAN_IT
from simulators.ads_ctr._calib_data import SPEC
from simulators.ads_ctr._calib_insights import insights
from simulators.ads_ctr._calib_own import run_own
from simulators.ads_ctr._calib_params import CalibrationParams
from simulators.ads_ctr._calib_study import TEST_ROWS, day_steps, others_steps, study_steps
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps


class CalibrationAuctionLab(Lab):
    """What does each kind of wrong probability cost in welfare, revenue and pacing, and which calibrator repairs it with how many rows?

    **The auction.** Eight ads compete for a place. Each is scored by value per click times predicted click probability; the best score
    wins and pays, per click, the second score over its own predicted probability. Values and true probabilities are known here, so the
    welfare and revenue of every run stand beside those of the same auctions sold on the truth, in expectation, without drawn clicks.

    **The distortion.** The model reads the true log-odds with noise, stretches them, adds a constant, and adds more on two fifths of 200
    slices. A factor on all probabilities and an uncorrected sample of negatives come on top.

    **The calibrators** learn from a log of held-out impressions: Platt's sigmoid (two numbers), isotonic regression (a rising
    staircase), temperature (one number) and a histogram of 20 bins; one map for everybody, one a segment, or one a slice.

    **The day.** Twenty advertisers have about half the budget they would spend. Without pacing they bid until the money is gone.
    Throttling enters them into a share of the auctions, the multiplier lowers all their bids; both are moved every quarter of an hour
    towards the pace at which the rest of the budget lasts for the rest of the traffic.

    With your own file of predictions and clicks the calibrators are fitted on its first half and judged on the second; no auction.
    """

    title = "Calibration in the auction"
    why = "An unchanged AUC and unchanged revenue are different claims, and neither says that the right ad won at the right price."
    engines = ("simulators.engines.ranking.calibration", "simulators.engines.ranking.auction")
    sources = (
        "Platt 1999, Probabilistic outputs for support vector machines",
        "Zadrozny & Elkan 2002, Transforming classifier scores into accurate multiclass probability estimates",
        "Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, arXiv 1706.04599",
        "He et al. 2014, Practical lessons from predicting clicks on ads at Facebook",
        "Edelman, Ostrovsky & Schwarz 2007, Internet advertising and the generalized second-price auction",
        "Agarwal, Ghosh, Wei & You 2014, Budget pacing for targeted online advertisements at LinkedIn",
        "Balseiro & Gur 2019, Learning in repeated auctions with budgets",
    )
    map_axes = ("cal_rows", "welfare_lost")
    data = SPEC
    Params = CalibrationParams
    challenges = (BIDS_THAT_MEAN_IT,)
    presets = (
        Preset(
            "going_broke",
            "AUC .75 and going broke",
            "No noise, no segment: the ranking of all ads is untouched, and a fifth of the revenue is gone.",
            {"slope": 1.8, "intercept": 1.8, "segment_shift": 0.0, "noise": 0.0},
        ),
        Preset(
            "ten_to_one",
            "Ten to one negatives",
            "A model trained on a tenth of the negatives bids as it learned. Revenue rises, and it is not yours to keep.",
            {"slope": 1.0, "intercept": 0.0, "segment_shift": 0.0, "noise": 0.0, "keep_negatives": 0.1},
        ),
        Preset(
            "too_many_slices",
            "Too many slices",
            "A map for each of 200 slices from 5,000 rows: the total looks better than the winners, and the auction is worse than before.",
            {"calibrator": "platt", "by": "slice", "cal_rows": 5_000},
        ),
        Preset(
            "gone_by_two",
            "Gone by two o'clock",
            "Probabilities are right, budgets are half of the spend, and most advertisers miss the evening. Choose a pacing.",
            {"calibrator": "platt", "by": "segment"},
        ),
        Preset(
            "half_and_a_floor",
            "Half of everything, and a floor",
            "Every probability halved costs nothing until a reserve looks at it.",
            {"slope": 1.0, "intercept": 0.0, "segment_shift": 0.0, "noise": 0.0, "scale": 0.5, "reserve": 0.08},
        ),
    )

    def run(self, params: CalibrationParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study, p_hat = yield from study_steps(ctx, params)
        priced = [*views.auction_metrics(study), *views.probability_metrics(study)]
        reliability = views.reliability_figure(study)
        yield Frame(priced, [reliability])
        yield from day_steps(study, p_hat)
        days, spend = views.day_metrics(study), views.spend_figure(study)
        yield Frame(days, [spend])
        yield from others_steps(ctx, study)
        designs = views.designs_figure(study)
        yield Progress(1, 1, "drawing")
        return Result(
            metrics=[*priced, *days],
            figures=[designs, reliability, spend, views.curve_figure(study)],
            tables=[views.designs_table(study), views.pacing_table(study)],
            insights=insights(study),
            notes=[
                f"{params.auctions:,} auctions before budgets, {study.setting.day.starts[-1]:,} in the day; AUC, calibration error and "
                f"reliability on {TEST_ROWS:,} impressions that no calibrator saw.",
                "Excess log loss keeps predictions between 0.0001 and 0.9999: an isotonic map may say 0, and one click makes it infinite.",
            ],
        )
