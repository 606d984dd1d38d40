"""Lab: what a new policy would earn, judged by the log of the old one."""

from __future__ import annotations

from simulators.ads_ctr import _ope_views as views
from simulators.ads_ctr._ope_challenge import A_LOG_WORTH_KEEPING
from simulators.ads_ctr._ope_data import SPEC
from simulators.ads_ctr._ope_insights import insights
from simulators.ads_ctr._ope_own import run_own
from simulators.ads_ctr._ope_params import OffPolicyParams
from simulators.ads_ctr._ope_study import TELL_EVERY, repeat_steps, study_steps, sweep_steps
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps


class OffPolicyLab(Lab):
    """Can the log of the old policy tell what the new one would earn, and what exploration makes that possible?

    **The world.** Twenty ads and five features of the context. The log-odds of a click are linear in the features, plus a sine that no
    linear model fits. The old policy shows ads by a softmax of its own scores, which know little of the reward, and in a share of the
    impressions any ad with equal chance. The new policy is a softmax of the true log-odds. Its value is known, so every estimate can be
    held against it, on as many logs as you like.

    **The estimators.** Importance weighting (IPS) counts each click as often as the new policy would have shown that ad; clipping bounds
    the weights, SNIPS divides by their sum. The direct method asks a ridge regression for each ad instead. Doubly robust starts from the
    regression and corrects it by the weighted residuals.

    **The check that comes first.** Weights have mean 1 where the log covers what the new policy does. A mean far from 1, or an effective
    sample of a few percent, says that no estimate from this log can be used, however narrow its interval.

    With your own log of shown actions, rewards and propensities the same estimators run on your data; the Open Bandit files are read as
    they are. The policy judged is the uniform one, or one whose probabilities stand in a column.
    """

    title = "Judging a policy by another's log"
    why = "The log holds only what was shown; an estimate without its diagnosis is how launches lose their A/B test."
    phase = "evaluation"
    engines = ("simulators.engines.ranking.ope", "simulators.engines.ranking.worlds.bandit")
    sources = (
        "Dudik, Langford & Li 2011, Doubly robust policy evaluation and learning, arXiv 1103.4601",
        "Swaminathan & Joachims 2015, The self-normalized estimator for counterfactual learning",
        "Saito, Aihara, Matsutani & Narita 2021, Open Bandit Dataset and Pipeline, arXiv 2008.07146",
        "Kong 1992, A note on importance sampling using standardized weights",
    )
    map_axes = ("clicks_lost", "rmse")
    data = SPEC
    Params = OffPolicyParams
    challenges = (A_LOG_WORTH_KEEPING,)
    presets = (
        Preset(
            "lost_the_test",
            "Great offline, lost the A/B",
            "No exploration at all: the direct method is calm, sure of itself, and far from what the new policy earns.",
            {"eps": 0.0, "estimator": "dm"},
        ),
        Preset(
            "two_percent",
            "Two percent random",
            "Two impressions of a hundred are random: intervals begin to hold the truth, for a fraction of a percent of the clicks.",
            {"estimator": "snips"},
        ),
        Preset(
            "weights_first",
            "Check the weights first",
            "A firm old policy without exploration: the mean weight is far from 1 before any estimate is read.",
            {"eps": 0.0, "logging_strength": 4.0, "estimator": "ips"},
        ),
        Preset(
            "clip_and_hope",
            "Clip and hope",
            "Weights cut at 10: the narrowest intervals on the page, and none of them holds the truth.",
            {"estimator": "clipped"},
        ),
    )

    def run(self, params: OffPolicyParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = yield from study_steps(ctx, params)
        told = 0
        for step in repeat_steps(study, ctx):
            yield step
            if study.runs.done >= told + TELL_EVERY:
                told = study.runs.done
                yield Frame(views.metrics(study), [views.spread_figure(study)])
        yield Frame(views.metrics(study), [views.coverage_figure(study), views.weights_figure(views.log_weights(study))])
        yield from sweep_steps(study, ctx)
        return Result(
            metrics=views.metrics(study),
            figures=[
                views.spread_figure(study),
                views.sweep_figure(study),
                views.coverage_figure(study),
                views.weights_figure(views.log_weights(study)),
            ],
            tables=[views.estimators_table(study), views.sweep_table(study)],
            insights=insights(study),
            notes=[
                f"{params.sims} logs of {params.n:,} impressions from one world; the truth is taken over 50,000 contexts. The mean of "
                "the log is shown beside the estimators because it is what gets compared most often."
            ],
        )
