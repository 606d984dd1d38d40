"""What the average hides: segments, time, mix, or a metric that changed."""

from __future__ import annotations

from typing import Any

from simulators.engines.experiment.stats import kernel
from simulators.engines.experiment.uplift import forest
from simulators.experimentation import _hidden_mix as mix
from simulators.experimentation import _hidden_segment_views as segment_views
from simulators.experimentation import _hidden_segments as segments
from simulators.experimentation import _hidden_time as time
from simulators.experimentation._hidden_challenge import TARGET_THE_OFFER
from simulators.experimentation._hidden_data import SPEC
from simulators.experimentation._hidden_own import run_own
from simulators.experimentation._hidden_params import HiddenParams
from simulators.experimentation._hidden_segments import Growth, Targeting
from simulators.lab import Context, Figure, Frame, Insight, Lab, Metric, Preset, Result, Steps, Table


class HiddenEffectsLab(Lab):
    """What does the average hide: segments, time, mix or a changed metric?

    Each part is a world of its own whose truth is known and drawn beside what the analysis sees.

    **Segments.** A test of 20,000 users, eight covariates, and an effect that depends on two of them. An S-learner fits one model with
    treatment as a covariate, a T-learner two models and takes their difference, an X-learner smooths imputed effects, and the causal
    forest splits where residual outcomes differ between the arms and fills its leaves from rows that chose no split. All are judged on
    10,000 other users: error of the effects, Qini curve, effects of sorted fifths, and the gain of treating the best under a cap. Beside
    them, plain segments are tested one by one; the test is repeated with fresh noise to count how often what it names is false.

    No interval is shown for one person's effect: the intervals that forests offer covered the truth in little more than half of the cases.

    **Time.** The effect after k days is the long-run effect plus novelty times exp(-k / decay). Users keep arriving, so a calendar day
    mixes old users with new ones. A holdout keeps some users away; their ids do not last, and who returns under a new id has mostly used
    the feature before.

    **Mix.** 10 million visitors a day, fewer of whom buy on a weekend. When the share treated changes along with that level, pooled arms
    hold different days. Comparing within days and weighting them alike removes it. The same happens to a metric that is redefined during
    the ramp: its treatment does nothing, and only the level of the metric steps up.
    """

    title = "Hidden effects"
    why = "Targeting and decay decide the launch, and both invite self-deception."
    phase = "evaluation"
    map_axes = ("pehe", "policy_value")
    engines = (
        "simulators.engines.experiment.uplift",
        "simulators.engines.experiment.uplift.learners",
        "simulators.engines.experiment.uplift.forest",
        "simulators.engines.experiment.novelty",
        "simulators.engines.experiment.mix",
    )
    sources = (
        "Künzel, Sekhon, Bickel & Yu 2019, PNAS, metalearners",
        "Athey, Tibshirani & Wager 2019, generalized random forests",
        "Nie & Wager 2021, R-learner",
        "Radcliffe 2007, Qini",
        "Chernozhukov, Demirer, Duflo & Fernández-Val 2018, arXiv 1712.04802, GATES",
        "Crook, Frasca, Kohavi & Longbotham 2009, seven pitfalls",
    )
    data = SPEC
    Params = HiddenParams
    challenges = (TARGET_THE_OFFER,)
    presets = (
        Preset(
            "up_every_day",
            "Up every day, down overall",
            "Treatment wins on both days of the ramp and loses when they are added up.",
            {"look": "mix", "drift_size": 0.0},
        ),
        Preset(
            "shiny_button",
            "Shiny button",
            "Clicks rise by 6 % on the first day and by 1 % a month later, and new users hide the fall.",
            {"look": "time"},
        ),
        Preset(
            "fishing",
            "Fishing for segments",
            "Everybody gains the same. Two hundred segments and no correction find differences all the same, and a T-learner invents more.",
            {"look": "segments", "truth": "constant", "learner": "T", "n_segments": 200, "correction": "none"},
        ),
        Preset(
            "metric_v2",
            "v2 of the metric",
            "A new definition counts 15 % more from day 8, when the ramp goes from 10 to 50 %: a gain of nothing at all.",
            {"look": "mix", "days": 14, "ramp": (10.0,) * 7 + (50.0,)},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        kernel.warm_up()
        forest.warm_up()

    def run(self, params: HiddenParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        self.warm_up()  # imports and compiled loops, should this process not have them yet
        metrics, figures, tables, insights = list[Metric](), list[Figure](), list[Table](), list[Insight]()
        if params.looks_at("mix"):
            mixed = mix.read_mix(params, ctx)
            metrics, figures, insights = mix.metrics(mixed), mix.figures(mixed), list(mix.insights(mixed))
            tables.append(mix.table(mixed))
            yield Frame(list(metrics), list(figures))
        if params.looks_at("time"):
            seen = yield from time.read_time(params, ctx)
            metrics, figures, insights = (
                [*time.metrics(seen), *metrics],
                [*time.figures(seen), *figures],
                [*time.insights(seen), *insights],
            )
            yield Frame(list(metrics), list(figures))
        if params.looks_at("segments"):
            made = yield from _segments(params, ctx)
            metrics, figures, insights = [*made[0], *metrics], [*made[1], *figures], [*made[2], *insights]
        return Result(metrics, figures, tables, insights, _notes(params))


def _segments(params: HiddenParams, ctx: Context) -> Any:
    train, test = segments.draw_users(params, ctx)
    fishing = yield from segments.fish(params, ctx, train)
    found, picture = segment_views.fishing_metrics(fishing, params.correction), segment_views.segments_figure(fishing, params.correction)
    yield Frame(found, [picture])
    targeting, growth = yield from segments.target(params, ctx, train, test, fishing, _watch)
    metrics = [*segment_views.targeting_metrics(targeting), *found]
    yield Frame(metrics)
    figures = [*segment_views.targeting_figures(targeting, growth), picture]
    return metrics, figures, list(segment_views.insights(params, targeting, fishing))


def _watch(seen: Targeting, growth: Growth) -> Frame:
    """A forest that is still growing."""
    return Frame(segment_views.targeting_metrics(seen), [segment_views.policy_figure(seen), segment_views.growth_figure(growth)])


def _notes(params: HiddenParams) -> list[str]:
    notes = []
    if params.looks_at("mix") and params.drift_size and params.drift_day > params.days:
        notes.append(f"The metric is redefined on day {params.drift_day}, after the test has ended on day {params.days}.")
    if params.looks_at("segments") and params.learner == "best_segment":
        notes.append("Best segment: its members count with its estimated effect, everybody else with none.")
    return notes
