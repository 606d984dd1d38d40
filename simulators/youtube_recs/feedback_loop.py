"""Lab: a recommender that learns only from what it showed, and what it is worth to look elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.ranking.loop import Rounds
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps
from simulators.youtube_recs import _loop_views as views
from simulators.youtube_recs._loop_challenge import FIND_THE_NEW
from simulators.youtube_recs._loop_insights import insights
from simulators.youtube_recs._loop_params import LoopParams
from simulators.youtube_recs._loop_runs import (
    MOST_SWEPT,
    Exposure,
    Study,
    companion,
    gain,
    played,
    sweep,
    watched,
)


class FeedbackLoop(Lab):
    """What does a recommender that learns only from what it showed never find out, and what is exploration worth?

    **The world.** 500 items, 10 segments of users. The log-odds of a click are the fit of an item to the taste of a segment and the
    quality of the item; they are known, so the best slate of each segment is known too. A first log holds about 3 random impressions of
    each item in each segment. After every round some items are replaced by new ones, which nobody has seen.

    **A round.** 6,000 impressions in slates of 10. The model ranks by click rates shrunk twice: an item's towards the prior, a segment's
    towards the item's, each with the weight of 20 impressions. The policy makes slates of the ranking, users click, and the model learns
    from these clicks alone.

    **Two numbers to keep apart.** *Served* is the click rate of what was shown. *The model's best* is the click rate that its ranking
    would have had without exploring. Exploring lowers the first against the second today and lifts both tomorrow. Both are shares of
    the click rate of the best slates, computed from the true rates, so no noise of clicks blurs them.

    A boosted item gets its fair share of the slots for some rounds, whatever the model says. A demoted item gets no random slots.
    Differences to the other policy are means over three worlds with the interval of two standard deviations.
    """

    title = "Feedback loop"
    why = (
        "Everyone asks for 5 to 10 % of exploration; its price depends on how fast the catalogue changes and on what is known at the start."
    )
    engines = ("simulators.engines.ranking.loop", "simulators.engines.ranking.worlds.loop")
    sources = (
        "Chaney, Stewart & Engelhardt 2018, How algorithmic confounding in recommendation systems increases homogeneity, RecSys",
        "Jiang, Chiappa, Lattimore, Gyorgy & Kohli 2019, Degenerate feedback loops in recommender systems, AIES",
        "Chapelle & Li 2011, An empirical evaluation of Thompson sampling, NIPS",
        "Auer, Cesa-Bianchi & Fischer 2002, Finite-time analysis of the multiarmed bandit problem, Machine Learning 47",
    )
    map_axes = ("coverage", "served")
    Params = LoopParams
    challenges = (FIND_THE_NEW,)
    presets = (
        Preset(
            "agrees_with_itself",
            "The model agrees with itself",
            "It shows what it believes in and is right about what it shows. Look at the good items along the bottom of the exposure.",
            {"policy": "greedy"},
        ),
        Preset(
            "five_to_ten",
            "5-10 % rule",
            "A tenth of the slots at random: the model learns, and each round pays for it. Where is the optimum for clicks?",
            {"epsilon": 0.1},
        ),
        Preset(
            "old_grudge",
            "Old grudge",
            "An older system buried 30 % of the items and their false history stayed in the log. How much exploring brings them back?",
            {"biased_share": 0.3, "epsilon": 0.1},
        ),
        Preset(
            "content_saves",
            "Content saves the day",
            "A content model knows much about a video before its first impression. Exploration is worth most where it does not.",
            {"content": 0.6},
        ),
    )

    def run(self, params: LoopParams, ctx: Context) -> Steps:
        other = yield from played(params, ctx, companion(params), "the policy to compare with")

        def picture(rounds: Rounds, exposure: Exposure) -> Frame:
            return Frame(views.metrics(rounds, params), [views.clicks_figure(rounds, other, params), views.exposure_figure(exposure)])

        mine, exposure = yield from watched(params, ctx, picture)
        yield picture(mine, exposure)
        swept = yield from sweep(params, ctx)
        study = Study(params, mine, other, exposure, (yield from gain(params, ctx, mine, other, swept)), swept)
        return Result(
            metrics=[*views.metrics(mine, params), *views.gain_metrics(study.gain, params)],
            figures=[figure for figure in views.figures(study) if figure is not None],
            tables=[views.table(study)],
            insights=insights(study),
            notes=list(_notes(study)),
        )


def _notes(study: Study) -> Iterator[str]:
    if study.sweep is None:
        yield f"No sweep and no spread over worlds above {MOST_SWEPT:,} items x rounds, or where the boost leaves no room for random slots."
    elif len(study.gain.served) == 1:
        yield "Thompson sampling was played on this world only; its differences carry no interval."
