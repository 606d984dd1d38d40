"""Which test recovers the effect of a launch when treatment takes supply from control?"""

from __future__ import annotations

from simulators.engines.experiment import marketplace
from simulators.experimentation import _interference_views as views
from simulators.experimentation._interference_challenge import EIGHT_DAYS
from simulators.experimentation._interference_insights import insights
from simulators.experimentation._interference_market import empty_study, simulate
from simulators.experimentation._interference_params import InterferenceParams
from simulators.experimentation._interference_rank_views import run_seller, run_viewer
from simulators.lab import Context, Frame, Lab, Preset, Result, Steps

FRAMES = 6


class InterferenceLab(Lab):
    """Which test recovers the effect of a launch when treatment takes supply from control?

    A/B tests assume that my outcome depends on my own arm only. Here it does not, and each world is also played with everybody treated and
    with nobody treated, on the same noise. Their ratio is the global treatment effect (GTE) that every estimate is held against.

    **The market.** Requests arrive in each region every 5 min with a daily cycle and slow noise; half want a ride, under treatment more.
    A driver is taken for a while, and when riders outnumber free drivers some get none. A treated rider who books takes the driver of
    somebody else, so a split by user reads what demand did and not what orders did.

    **Designs.** Clusters give whole regions one arm; days of history adjust for how unequal they are. A switchback redraws the arm of each
    region every window: more units, each of which inherits the supply that the last window left. A burn-in drops the start of a window.

    **Analyses.** Orders per request, with an error that takes each request as independent, or that is robust to what the requests of one
    randomised unit share. Region and hour effects compare a region only with itself at the same time of day, clustered by region and day.

    **Viewer ranking.** 30 candidates, the viewer looks at place k with chance 1/k^0.8. Team-draft interleaving lets two rankers pick in
    turns for one page and counts whose picks are clicked; an A/B test has to find the same gain between different viewers.

    **Seller ranking.** New sellers are boosted on half of the sellers. Boosted ones take the places of the others. Counterfactual
    interleaving puts each seller where the full ranking of its own arm would.
    """

    title = "Interference"
    why = "A precise answer to the wrong estimand passes every check on the results page."
    map_axes = ("sd", "abs_bias")
    engines = (
        "simulators.engines.experiment.marketplace.market",
        "simulators.engines.experiment.marketplace.estimators",
        "simulators.engines.experiment.marketplace.ranking",
    )
    sources = (
        "Bojinov, Simchi-Levi & Zhao, Design and analysis of switchback experiments, arXiv 2009.00148",
        "Johari, Li, Liskovich & Weintraub, Experimental design in two-sided platforms, arXiv 2002.05670",
        "Liang & Zeger 1986, Longitudinal data analysis using generalized linear models, Biometrika 73(1)",
        "Radlinski, Kurup & Joachims 2008, How does clickthrough data reflect retrieval quality?",
        "Ha-Thuc et al. 2020, A counterfactual framework for seller-side A/B testing on marketplaces",
    )
    Params = InterferenceParams
    challenges = (EIGHT_DAYS,)
    presets = (
        Preset(
            "friday_night",
            "Friday night, no drivers",
            "Demand exceeds supply by a fifth: the user split still reads the full lift, orders can hardly grow.",
            {"load": 1.2},
        ),
        Preset(
            "windows_too_short",
            "Windows too short",
            "Rides of two hours, arms that switch every 15 minutes: treatment starts with the idle drivers that control left.",
            {"design": "switchback", "window": 15, "busy": 120.0, "analysis": "fixed_effects"},
        ),
        Preset(
            "twenty_cities",
            "Twenty cities",
            "Ten cities against ten: the right question, and an error larger than the effect until history is used.",
            {"design": "cluster"},
        ),
        Preset(
            "orders_as_units",
            "Half a million orders",
            "A switchback analysed order by order: tight intervals that miss the truth in two worlds of three.",
            {"design": "switchback", "analysis": "order_iid"},
        ),
        Preset(
            "rank_by_duel",
            "Rank by duel",
            "Two rankers pick in turns for the same viewer: the better one shows in a tenth of the sessions.",
            {"question": "viewer_ranking"},
        ),
        Preset(
            "boosted_sellers",
            "Boosted sellers",
            "New sellers are lifted past other new sellers: the split counts each gained place twice.",
            {"question": "seller_ranking"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        marketplace.warm_up()

    def run(self, params: InterferenceParams, ctx: Context) -> Steps:
        if params.question == "viewer_ranking":
            return (yield from run_viewer(params.replicates, ctx))
        if params.question == "seller_ranking":
            return (yield from run_seller(params.replicates, ctx))
        study = empty_study(params)
        shown, every = 0, max(1, params.replicates // FRAMES)
        for step in simulate(params, study, ctx):
            yield step
            if shown + every <= study.chosen.n < params.replicates:
                shown = study.chosen.n
                yield Frame(views.metrics(study), views.frame_figures(study))
        return Result(views.metrics(study), views.figures(study), views.tables(study), insights(study), _notes(params))


def _notes(params: InterferenceParams) -> list[str]:
    if params.analysis == "fixed_effects" and params.design != "switchback":
        return ["Region and hour effects need a region in both arms; this design keeps its arm, so its units were compared."]
    if params.design == "cluster_pre" and not params.pre_days:
        return ["There is no history to adjust for: set History to a day or more."]
    if params.design == "user" and params.analysis == "unit":
        return ["With users randomised each request is a unit of its own."]
    return []
