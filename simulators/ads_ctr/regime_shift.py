"""Lab: the world changes overnight; what recovers first, and what it costs before and after."""

from __future__ import annotations

from simulators.ads_ctr import _shift_views as views
from simulators.ads_ctr._shift_challenge import OVERNIGHT
from simulators.ads_ctr._shift_insights import insights
from simulators.ads_ctr._shift_own import SPEC, run_own
from simulators.ads_ctr._shift_params import ShiftParams
from simulators.ads_ctr._shift_study import Study, play_steps, world_steps
from simulators.lab import Context, Figure, Frame, Lab, Preset, Result, Steps


class RegimeShift(Lab):
    """When the world changes overnight, what recovers first: recalibration, a window, online learning or an alarm, at which training cost?

    **The world.** Thirty days of 3,000 impressions with 40 features. On day 15 some weights change their sign (other things are clicked),
    the base rate moves (more or less is clicked), or both, and on a later day all may be as before. The probabilities are known.

    **The model.** Logistic regression, first trained on five days. Every morning a schedule may train it again: on all history, on a
    window, on yesterday, weekly, when an alarm rings, or not at all; Platt scaling corrects the old model's logit by yesterday; online
    learning takes a step after every 200 impressions, each scored before it is learned from. All see the same days.

    **The measures.** Normalised entropy is the log loss over that of the day's own click rate: 1 is what a constant reaches, the dashed
    line what the truth reaches. Predicted over actual clicks is the calibration that monitors watch, over all impressions and by fifths
    of what the first model thought of them. A schedule is back when it stays within 0.03 of the truth.

    The cost is the number of rows that trainings read after the first model. With your own click log and its times the schedules run on
    its days; no truth is known there.
    """

    title = "Regime shift"
    why = "Frequent retrains have a price before and after the shift, and overall calibration can look perfect while the ranking is gone."
    engines = ("simulators.engines.ranking.drift", "simulators.engines.ranking.worlds.drift")
    sources = (
        "He et al. 2014, Practical lessons from predicting clicks on ads at Facebook, ADKDD",
        "Gama, Zliobaite, Bifet, Pechenizkiy & Bouchachia 2014, A survey on concept drift adaptation, ACM Computing Surveys 46(4)",
        "McMahan et al. 2013, Ad click prediction: a view from the trenches, KDD",
        "Platt 1999, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers",
    )
    map_axes = ("rows_trained", "mean_ne")
    data = SPEC
    Params = ShiftParams
    challenges = (OVERNIGHT,)
    presets = (
        Preset(
            "more_clicks",
            "Black Friday, more clicks",
            "The same things are clicked, only more. The model from before bids too little, and one number mends it.",
            {"shift": "base_rate"},
        ),
        Preset(
            "other_clicks",
            "Black Friday, other clicks",
            "Other things are clicked, about as often. Watch the calibration stay near 1 while the ranking is lost.",
            {"flipped": 16, "schedules": ("static", "daily", "window", "yesterday", "triggered", "recalibrate")},
        ),
        Preset(
            "and_back",
            "And back again",
            "Three days of sale, then everything is as before. Who learned it has to forget it.",
            {"return_day": 18},
        ),
        Preset(
            "quiet_month",
            "Quiet month",
            "Nothing happens. What does readiness cost?",
            {"flipped": 0, "schedules": ("static", "daily", "window", "yesterday", "online", "triggered")},
        ),
    )

    def run(self, params: ShiftParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = yield from world_steps(ctx, params)
        for way in params.schedules:
            yield from play_steps(study, way)
            yield Frame(views.world_metrics(study), [views.ne_figure(study)])
        return Result(
            metrics=[*views.way_metrics(study), *views.world_metrics(study)],
            figures=_figures(study),
            tables=[views.table(study)],
            insights=insights(study),
            notes=["Days count from 0; the first five teach the first model and are not judged. One world: another seed draws other days."],
        )


def _figures(study: Study) -> list[Figure]:
    return [views.ne_figure(study), views.ratio_figure(study), views.parts_figure(study), views.cost_figure(study)]
