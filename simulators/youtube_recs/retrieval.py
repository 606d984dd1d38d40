"""Lab: candidate sources, negatives and what they do to the lists everybody gets."""

from __future__ import annotations

from simulators.engines.ranking.retrieval import fit_two_tower, merging
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps
from simulators.youtube_recs import _retrieval_views as views
from simulators.youtube_recs._retrieval_challenge import HUNDRED_SLOTS
from simulators.youtube_recs._retrieval_data import SPEC
from simulators.youtube_recs._retrieval_insights import insights
from simulators.youtube_recs._retrieval_own import run_own
from simulators.youtube_recs._retrieval_params import RetrievalParams
from simulators.youtube_recs._retrieval_study import Study, history_steps, lost_steps, study_steps
from simulators.youtube_recs._retrieval_world import curve_figure


class RetrievalLab(Lab):
    """Which sources and which negatives find what a viewer would watch next, without giving everyone the same thousand videos?

    **The world.** 5,000 items of 200 channels, 1,500 viewers with six subscriptions each, a log of 200,000 choices. A choice follows
    taste, subscription and popularity, and its probability is known, so the best list of k items is known too. What is chosen now differs
    from the log: items under a day old and twenty trending ones take their shares, and the log holds little of the first and nothing
    of the second.

    **Two towers.** A vector a viewer and a vector and bias an item; their inner product is trained by sampled softmax against other
    items. Taken from the same batch, these are mostly popular ones, and popular items are punished for it unless the logit is corrected
    by log q (Yi 2019). Mixed negatives add items drawn evenly (Yang 2020). Hard ones come from the viewer's own best 100.

    **Other sources.** Co-watch adds up cosines between items watched by the same viewers. Fresh takes the newest of subscribed channels,
    then the most viewed of the day. Trending takes what was viewed in the last hour more than the log expects. Each source fills its
    quota with its best items not yet taken.

    **Newcomers.** With a watch history as user tower the lists go to people the model never saw: their vector is made from up to
    20 watched items and, if you like, one of twelve demographic groups.

    With your own ratings the truth is what was held out: hit rate and recall of the lists against popular items and co-watch.
    """

    title = "Candidate retrieval"
    why = "Retrieval is recall first: what it misses no ranker repairs, and popularity bias hides in how negatives are sampled."
    phase = "architecture"
    engines = (
        "simulators.engines.ranking.retrieval",
        "simulators.engines.ranking.retrieval.co_watch",
        "simulators.engines.ranking.retrieval.merging",
        "simulators.engines.ranking.retrieval.health",
    )
    sources = (
        "Covington, Adams & Sargin 2016, Deep neural networks for YouTube recommendations",
        "Yi et al. 2019, Sampling-bias-corrected neural modeling for large corpus item recommendations",
        "Yang et al. 2020, Mixed negative sampling for learning two-tower neural networks",
        "Sarwar et al. 2001, Item-based collaborative filtering",
        "Roy & Vetterli 2007, The effective rank",
    )
    map_axes = ("scored_pairs", "of_oracle")
    data = SPEC
    Params = RetrievalParams
    challenges = (HUNDRED_SLOTS,)
    presets = (
        Preset(
            "same_thousand",
            "Same thousand for everyone",
            "The user tower reads nothing: one vector for all, one list for all, and tower health says so before the lists do.",
            {"user_tower": "none"},
        ),
        Preset(
            "sign_bug",
            "The sign bug",
            "log q is added where it should be taken off. The loss falls nicely, and nobody is shown anything they have heard of.",
            {"logq": -1},
        ),
        Preset(
            "breaking_news",
            "Breaking news",
            "A fifth of the choices trend and a quarter are of today. A model of yesterday's log needs two sources beside it.",
            {"fresh_share": 0.25, "trend_share": 0.2, "quota_two_tower": 60, "quota_fresh": 20, "quota_trending": 20},
        ),
        Preset(
            "first_day",
            "First day on the site",
            "Newcomers with no history at all, and a tower that was never shown a short one in training.",
            {"user_tower": "history", "history_len": 0, "history_dropout": False, "demographics": False},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        merging.warm_up()
        fit_two_tower([0, 1], [0, 1], 2, 2, epochs=1)  # loads torch and compiles the tables' update

    def run(self, params: RetrievalParams, ctx: Context) -> Steps:
        self.warm_up()
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = yield from study_steps(ctx, params)
        yield Frame(views.metrics(study), [views.caught_figure(study), views.viewer_figure(study), views.parts_figure(study)])
        yield from lost_steps(study)
        yield from history_steps(ctx, study)
        history = [views.history_figure(study)] if study.by_history else []
        return Result(
            views.metrics(study),
            [*views.figures(study), *history, curve_figure(study.trained.curve)],
            views.tables(study),
            insights(study),
            _notes(study),
        )


def _notes(study: Study) -> list[str]:
    notes = [f"Lists are made for {len(study.mine.ids):,} viewers and judged by known probabilities, not by a sample of choices."]
    if study.params.user_tower == "history":
        notes.append("Newcomers subscribe to nothing, so the fresh source goes by views alone.")
    if study.params.viewer != study.viewer:
        notes.append(f"There are {len(study.mine.ids):,} viewers; {study.params.viewer:,} stands for number {study.viewer:,}.")
    if not study.params.quotas["two_tower"]:
        notes.append("The towers have no slots; they are trained for comparison.")
    return notes
