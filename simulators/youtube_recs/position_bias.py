"""Lab: how much of a click is the position, and which correction recovers relevance at which cost of logging."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.lab import Context, Frame, Insight, Lab, Preset, Result, Steps
from simulators.youtube_recs import _position_views as views
from simulators.youtube_recs._position_challenge import HIDDEN_ETA
from simulators.youtube_recs._position_data import SPEC
from simulators.youtube_recs._position_insights import FEW_SHUFFLED, insights
from simulators.youtube_recs._position_own import run_own
from simulators.youtube_recs._position_params import LABELS, PositionParams
from simulators.youtube_recs._position_readers import Read, read_steps
from simulators.youtube_recs._position_study import NEEDS_SHUFFLED, READ_SLATES, TEST_SLATES, Study, load, score_steps, world_steps


class PositionBias(Lab):
    """How much of a click is the position, and which correction recovers relevance at which logging cost?

    **The world.** 20,000 slates of ten items with eight features each. Relevance, the chance of a click on an item that is looked at, is a
    known function of the features. An older policy ordered the slates; how much of its score is relevance is a slider. Some slates were
    shuffled. Users look at position k with probability k^-eta, or they read from the top and stop when they have found something.

    **Five ways to learn from these clicks.** *As they are*. *Position as a feature*, held fixed when serving. *A position tower* beside
    the relevance tower (PAL): their probabilities multiply to a click, and the tower is thrown away when serving. *Inverse propensity
    weighting*: each click counts 1 / examination, estimated from the shuffled slates. *Shuffled slates alone*.

    **What is compared.** Each ranks 4,000 test slates anew; the clicks these pages would get are computed from the truth, as a share of
    what the best order gets. Examination is known up to a factor, so every curve is set to 1 at position 1.

    Differences carry two standard errors over the test slates; another seed also trains anew. Readers' models (position-based, cascade,
    dynamic Bayesian) are fitted to the first slates of the log with the level of predicted relevance in place of the document.

    With your own log (slate, position, click, features) the models train on four fifths of the slates and are judged on the others by
    how well they tell clicks from non-clicks at the same position; no truth is known there.
    """

    title = "Position bias"
    why = "A position tower, a position feature, click models, randomisation: each rests on another assumption, and only one is free."
    engines = (
        "simulators.engines.ranking.position",
        "simulators.engines.ranking.worlds.position",
        "simulators.engines.search.clicks",
    )
    sources = (
        "Guo, Yu, Liu, Tang & Zhang 2019, PAL: a position-bias aware learning framework for CTR prediction, RecSys",
        "Joachims, Swaminathan & Schnabel 2017, Unbiased learning-to-rank with biased feedback, WSDM",
        "Craswell, Zoeter, Taylor & Ramsey 2008, An experimental comparison of click position-bias models, WSDM",
        "Chapelle & Zhang 2009, A dynamic Bayesian network click model for web search ranking, WWW",
    )
    map_axes = ("xll", "regret")
    data = SPEC
    Params = PositionParams
    challenges = (HIDDEN_ETA,)
    presets = (
        Preset(
            "looks_fine",
            "Everything looks fine",
            "The old policy was good, so clicks as they are nearly suffice. The bias is all there, and will show with the next policy.",
            {"rho": 0.9},
        ),
        Preset(
            "blind_logger",
            "Blind logger",
            "No shuffled slate and an old policy without jitter: only the company on each page still moves an item up and down.",
            {"eps": 0.0, "noise": 0.0},
        ),
        Preset(
            "cascade_readers",
            "Cascade readers",
            "They read from the top and stop. Every correction assumes a curve that these users do not have.",
            {"user": "cascade"},
        ),
        Preset(
            "slow_tower",
            "The tower that never learned",
            "Random start and the learning rate of everything else: the relevance tower takes the bias before the position tower can.",
            {"position_init": "normal", "position_lr": 0.003},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        load()

    def run(self, params: PositionParams, ctx: Context) -> Steps:
        load()
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = yield from world_steps(ctx, params)
        yield Frame(views.world_metrics(study), [views.regret_figure(study), views.study_curve(study)])
        for kind in params.models:
            yield from score_steps(ctx, study, kind)
            yield Frame(figures=[views.regret_figure(study), views.study_curve(study)])
        read: Read | None = None
        if study.scored:
            level = study.scored.get("pal", study.best).level
            read = yield from read_steps(level, study.world.clicks[:READ_SLATES])
        return _result(study, read)


def _result(study: Study, read: Read | None) -> Result:
    said: list[Insight] = insights(study, read)
    calibration = [views.study_calibration(study)] if study.scored else []
    return Result(
        metrics=[*views.model_metrics(study), *views.world_metrics(study)],
        figures=[views.regret_figure(study), views.study_curve(study), *calibration],
        tables=[views.model_table(study), views.reader_table(read)] if read else [],
        insights=said,
        notes=list(_notes(study)),
    )


def _notes(study: Study) -> Iterator[str]:
    shuffled = int(study.world.randomised.sum())
    left_out = [LABELS[kind] for kind in study.params.models if kind in NEEDS_SHUFFLED and kind not in study.scored]
    if left_out:
        yield f"Left out, for they need shuffled slates: {', '.join(left_out)}."
    elif shuffled < FEW_SHUFFLED:
        yield f"Only {shuffled} slates are shuffled; an estimate of propensities wants at least {FEW_SHUFFLED}."
    yield f"Judged on {TEST_SLATES:,} slates by their true relevance; intervals are two standard errors over them, for one training each."
