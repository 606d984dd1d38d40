"""Lab: which weights over calibrated heads keep watch time without bait, and what a varied page costs."""

from __future__ import annotations

from simulators.engines.ranking import rerank
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps
from simulators.youtube_recs import _blend_views as views
from simulators.youtube_recs._blend_challenge import SATISFIED
from simulators.youtube_recs._blend_heads import heads_steps, learning_figure, truth_of, warm_up_learner, world_steps
from simulators.youtube_recs._blend_insights import insights
from simulators.youtube_recs._blend_pages import Audience
from simulators.youtube_recs._blend_params import ObjectiveBlendParams
from simulators.youtube_recs._blend_study import Study, backdrop_steps, begun, comparison_steps, curve_steps, page_steps


class ObjectiveBlendLab(Lab):
    """Which weights over calibrated heads keep watch time without clickbait, and what does diversity cost?

    **The world.** 1,500 slates of 60 candidates, ten of which make a page. A candidate is more or less relevant to the viewer and more or
    less good; a quarter baits, one in seven feeds rage. Bait draws clicks that are watched briefly and disliked, rage is watched long and
    disliked, quality is liked and subscribed to. All of it is rotated into 16 features, and the true chances are known. A viewer tires:
    what a video brings shrinks by the squared cosines with the videos above it.

    **The heads.** A mixture of six experts learns clicks, minutes, likes, dislikes and subscriptions from 60,000 impressions, one gate a
    head; comments follow from likes. Minutes are learned by weighted logistic regression whose odds are minutes an impression, or by
    Covington's form of it, which leaves clicked rows out of the noes.

    **The page.** The score is the weighted sum of the heads. Maximal marginal relevance trades it against the largest cosine with what
    stands above, a determinantal point process against the volume that the page spans, a cap counts creators. The ceiling ranks by true
    heads and knows satiation: each place goes to the video worth most after those above it.

    **The front.** 200 random weightings of the same heads, and of the true ones: minutes against dislikes, without re-ranking.
    """

    title = "Objective blend"
    why = "Weights over heads are policy, and a head that is miscalibrated changes the policy without anybody deciding it."
    map_axes = ("dislikes", "minutes")
    engines = ("simulators.engines.ranking.rerank", "simulators.engines.ranking.multitask", "simulators.engines.ranking.worlds.blend")
    sources = (
        "Ma et al. 2018, Modeling task relationships in multi-task learning with multi-gate mixture-of-experts",
        "Covington, Adams & Sargin 2016, Deep neural networks for YouTube recommendations",
        "Carbonell & Goldstein 1998, The use of MMR, diversity-based reranking",
        "Chen, Zhang & Zhou 2018, Fast greedy MAP inference for determinantal point process, arXiv 1709.05135",
    )
    Params = ObjectiveBlendParams
    challenges = (SATISFIED,)
    presets = (
        Preset(
            "clickbait_factory",
            "Clickbait factory",
            "One head, clicks. Most clicks of all designs, half of the minutes, and every fourth or fifth click is disliked.",
            {"w_click": 1.0, "w_minutes": 0.0, "w_like": 0.0, "w_subscribe": 0.0, "w_dislike": 0.0},
        ),
        Preset(
            "rage_minutes",
            "Rage minutes",
            "One head, minutes. Nothing holds viewers longer, and part of it holds them because it angers them.",
            {"w_minutes": 1.0, "w_like": 0.0, "w_subscribe": 0.0, "w_dislike": 0.0},
        ),
        Preset(
            "satisfied_viewers",
            "Satisfied viewers",
            "Likes, subscriptions and a penalty on dislikes beside the minutes, and a light hand for variety.",
            {"w_like": 8.0, "w_subscribe": 20.0, "w_dislike": 20.0, "diversity": "mmr"},
        ),
        Preset(
            "bubble",
            "Bubble",
            "Retrieval brings little but the viewer's favourite topics, full of near copies: here a varied page earns more than it costs.",
            {"focus": 3.0, "likeness": 0.9, "gamma": 0.4, "diversity": "mmr"},
        ),
        Preset(
            "covington_minutes",
            "Minutes by the book",
            "Minutes alone, learned by the formula of 2016 where clicks are not rare: the head turns towards what is clicked.",
            {"w_minutes": 1.0, "w_like": 0.0, "w_subscribe": 0.0, "w_dislike": 0.0, "watch_loss": "covington"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        rerank.warm_up()
        warm_up_learner()

    def run(self, params: ObjectiveBlendParams, ctx: Context) -> Steps:
        self.warm_up()
        world = yield from world_steps(ctx, params)
        heads = yield from heads_steps(ctx, params, world)
        audience = Audience.of(world, truth_of(world))
        study = begun(params, audience, heads, (yield from backdrop_steps(ctx, params, audience, heads)))
        yield from page_steps(study, ctx)
        metrics, figures = views.metrics(study), [views.front_figure(study), views.slate_figure(study)]
        yield Frame(metrics, figures)
        yield from comparison_steps(study)
        yield from curve_steps(study)
        return Result(
            [*metrics, *views.compared_metrics(study)],
            [
                *figures,
                views.diversity_figure(study),
                views.calibration_figure(study),
                *([learning_figure(heads.excess)] if heads.excess else []),
            ],
            [views.designs_table(study), views.heads_table(study)],
            insights(study),
            _notes(study),
        )


def _notes(study: Study) -> list[str]:
    params = study.params
    if params.diversity == "mmr" and params.lam <= 0.5:
        return ["At a lambda of one half or less, unlikeness outweighs the score: candidates of no worth come up."]
    if not any(weight > 0 for weight in params.weights().values()):
        return ["Only the penalty has a weight: the page shows what is disliked least, whatever it is worth."]
    return []
