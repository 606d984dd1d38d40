"""Lab: click models from logistic regression to attention over the history, against the known probability."""

from __future__ import annotations

from simulators.ads_ctr import _ctr_views as views
from simulators.ads_ctr._ctr_case import case_steps
from simulators.ads_ctr._ctr_challenge import CALIBRATED_AND_SMALL
from simulators.ads_ctr._ctr_data import SPEC
from simulators.ads_ctr._ctr_insights import insights
from simulators.ads_ctr._ctr_params import CtrParams
from simulators.ads_ctr._ctr_study import Study, study_steps
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps


class CtrModels(Lab):
    """How much of the reachable ranking quality does each model family catch, at what memory and CPU, and is its probability right?

    **The world.** Impressions with a user, an ad with its advertiser and category, a publisher, slot, hour, device and segment, six
    numbers, and the last eight categories the user chose. The log-odds of a click add what each field says alone, how well segment and
    ad, publisher and ad, hour and category suit each other, and how often the ad's category stands in the history. A quarter of the ads
    start during the log. The probability of every row is known, so the page says how much of what can be known was learned.

    **The models.** Logistic regression adds a weight an id. The factorisation machine lets ids meet by inner product. DLRM puts a net over
    the inner products, DCN-V2 multiplies the inputs layer by layer, MaskNet gates them. History is pooled by its mean or by attention to
    the ad at hand (DIN). LightGBM sees large fields through the rate of each id, computed from the other folds.

    **The table.** One tensor for all fields, updated only where a batch touched it, with one running sum of squares a row.

    **The judge.** 30,000 later rows: the excess log loss over the truth as a share of the constant's, AUC beside that of the truth, and
    predicted over true clicks. The training curve is the loss of rows just before they are learned from.
    """

    title = "Click models"
    why = "Leaderboards differ in the third decimal and never show the ceiling, the memory, or whether the probability can be bid with."
    map_axes = ("macs", "closed")
    engines = (
        "simulators.engines.ranking.models",
        "simulators.engines.ranking.models.table",
        "simulators.engines.ranking.models.nets",
        "simulators.engines.ranking.models.trees",
        "simulators.engines.ranking.worlds.ctr",
    )
    sources = (
        "Rendle 2010, Factorization machines, ICDM",
        "Guo et al. 2017, DeepFM, arXiv 1703.04247",
        "Zhou et al. 2018, Deep interest network, arXiv 1706.06978",
        "Naumov et al. 2019, Deep learning recommendation model, arXiv 1906.00091",
        "Wang et al. 2020, DCN V2, arXiv 2008.13535",
        "Wang et al. 2021, MaskNet, arXiv 2102.07619",
        "Ke et al. 2017, LightGBM, NeurIPS",
        "Zhu et al. 2022, BARS: towards open benchmarking for recommender systems, SIGIR",
    )
    Params = CtrParams
    data = SPEC
    challenges = (CALIBRATED_AND_SMALL,)
    presets = (
        Preset(
            "leaderboard",
            "Leaderboard in a second",
            "Four families on 60,000 rows. The order is there at once, and so is the distance of all of them to the truth.",
            {"model": "dcnv2", "models": ("lr", "fm", "dlrm"), "rows": 60_000},
        ),
        Preset(
            "one_pass_too_many",
            "One pass too many",
            "Wide vectors and four passes: after the first the curve turns, and the later rows end worse than the constant.",
            {"models": ("lr",), "dim": 32, "epochs": 4, "rows": 30_000},
        ),
        Preset(
            "sampled_negatives",
            "Sampled negatives, unsampled bids",
            "One negative in ten is kept to save rows, and nobody undoes it in the probability.",
            {"models": ("lr",), "keep_negatives": 0.1, "correct_sampling": False},
        ),
        Preset(
            "new_ads",
            "New ads",
            "Only the ad's id, no category and no advertiser: watch what is left on ads with few impressions.",
            {"model": "dlrm", "models": ("lr",), "ad_content": False},
        ),
        Preset(
            "data_limited",
            "Data-limited",
            "Twenty fields and more ids than the rows can teach: the models draw together far below the truth.",
            {"model": "dcnv2", "models": ("lr", "fm"), "truth": "wide", "rows": 100_000},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        from simulators.engines.ranking.models import warm_up

        warm_up()

    def run(self, params: CtrParams, ctx: Context) -> Steps:
        self.warm_up()
        case = yield from case_steps(params, ctx)
        study = yield from study_steps(params, case, ctx, lambda so_far: Frame(views.metrics(so_far), views.streamed(so_far)))
        figures = views.figures(study)
        yield Progress(1, 1, "putting it into words")
        return Result(
            metrics=views.metrics(study),
            figures=figures,
            tables=views.tables(study),
            insights=insights(study),
            notes=[*study.notes, *_left_out(study)],
        )


def _left_out(study: Study) -> list[str]:
    left = [design for design in study.params.designs if design not in study.designs]
    return [f"{len(left)} of the models differ from another by the history alone, which is not there; they are left out."] if left else []
