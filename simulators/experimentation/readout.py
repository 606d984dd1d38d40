"""Reading out an A/B test: on a world whose truth is known, or on your own file."""

from __future__ import annotations

from simulators.engines.experiment.stats import kernel
from simulators.experimentation._readout_challenge import ENOUGH_TRAFFIC
from simulators.experimentation._readout_data import SPEC
from simulators.experimentation._readout_own import run_own
from simulators.experimentation._readout_params import ReadoutParams
from simulators.experimentation._readout_world import run_world
from simulators.lab import Context, Lab, Preset, Steps


class ReadoutLab(Lab):
    """What did this test show, and what would a better analysis have saved?

    Each arm is reduced to its count, its means and its sums of products; every number on this page is computed from those, so a change
    of alpha, covariate or cap never reads the users again.

    **The test.** Welch's t-test compares the arms without assuming equal variances. A relative lift divides by the control mean, which is
    itself an estimate; the delta method adds its noise. The interval that ignores it stands in the table beside the full one.

    **CUPED.** Users who spent a lot before the test spend a lot during it. Subtracting theta times last period's value, with
    theta = cov / var within the arms, removes the share rho squared of the variance and leaves the effect alone, because history cannot be
    moved by the treatment. Users without a history keep their variance. A covariate measured during the test can be moved by the
    treatment, and then part of the effect is subtracted with it.

    **Ratios.** Clicks per view with users randomised is a ratio of two means. Each user counts once, through
    (clicks - R views) / mean views. Views taken as independent units give an interval that is too narrow.

    **Winsorising.** Capping the largest values trades variance for a changed question: what happens above the cap is no longer measured.

    **Sample ratio.** Before any metric, a chi-square test asks whether the arms hold the shares they were dealt.

    **Many metrics.** The North Star decides, proxies explain, guardrails forbid. Bonferroni and Holm bound the chance of any false win,
    Benjamini-Hochberg the share of false ones. Gatekeeping spends nothing on the proxies until the North Star has moved. A guardrail
    holds when a worsening beyond the margin is ruled out; that it shows no significant harm is not enough.

    **Triggers.** Users who never reach the changed surface cannot be moved. Leaving them out needs the trigger logged in both arms.

    **A/A tests.** The same users dealt again and again must give uniform p-values; if not, the analysis misjudges its own noise.

    In the synthetic world 3 % of users buy, for lognormal amounts (sigma 1.5); the pre-period has the correlation you choose. Everything
    about it is known, so truth and the least possible variance are drawn beside what the test found.
    """

    title = "Read out a test"
    why = "Unit of analysis, covariates and heavy tails move verdicts more than models do."
    map_axes = ("variance_left", "ci_width")
    engines = (
        "simulators.engines.experiment.stats.compare",
        "simulators.engines.experiment.stats.linear",
        "simulators.engines.experiment.multiple",
        "simulators.engines.experiment.worlds",
    )
    sources = (
        "Deng, Xu, Kohavi & Walker 2013, CUPED",
        "Deng, Knoblich & Lu 2018, arXiv 1803.06336, delta method",
        "Welch 1947, unequal variances",
        "Fabijan et al. 2019, sample ratio mismatch",
    )
    challenges = (ENOUGH_TRAFFIC,)
    data = SPEC
    Params = ReadoutParams

    presets = (
        Preset(
            "half_the_users",
            "Half the users, same power",
            "History removes half of the variance, so half of the users would do.",
            {"metric": "clicks_per_view", "new_users": 0.0},
        ),
        Preset(
            "covariate_from_the_future",
            "Covariate from the future",
            "Adjusting for what the treatment moved turns a gain into nothing, with a tighter interval.",
            {"metric": "clicks_per_view", "covariates": "post_period", "lift": 5.0},
        ),
        Preset(
            "clicks_are_not_users",
            "Clicks are not users",
            "Nothing changed, yet views taken as units find a difference in one A/A test of six.",
            {"metric": "clicks_per_view", "lift": 0.0, "ratio_variance": "naive", "covariates": "none"},
        ),
        Preset(
            "twenty_metrics",
            "Twenty metrics",
            "Nothing moved, and two tests of three still show a win somewhere. Switch on a correction.",
            {"metric": "clicks_per_view", "lift": 0.0, "moved": 0, "correction": "none", "covariates": "none"},
        ),
        Preset(
            "one_in_ten",
            "One user in ten",
            "A tenth of the users reach the change; the others only add noise.",
            {"metric": "clicks_per_view", "lift": 6.0, "trigger_rate": 10.0, "population": "triggered"},
        ),
        Preset(
            "counter_case",
            "The honest counter-case",
            "A pre-period that says nothing: CUPED costs a pipeline and saves no users.",
            {"rho": 0.07, "metric": "clicks_per_view", "new_users": 0.0},
        ),
        Preset(
            "whales",
            "Whales and a cap",
            "Larger baskets lift revenue by 8 %; capping at 99 % hides most of it.",
            {"lift": 8.0, "lift_kind": "amount", "winsorise": "0.99", "users": 1_000_000},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        kernel.warm_up()

    def run(self, params: ReadoutParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        return (yield from run_world(params, ctx))
