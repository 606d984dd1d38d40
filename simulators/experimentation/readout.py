"""Reading out an A/B test: on a world whose truth is known, or on your own file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Literal

from simulators.engines.experiment.results_file import DENOMINATOR, METRIC
from simulators.engines.experiment.srm import srm_test
from simulators.engines.experiment.stats import Comparison, compare
from simulators.engines.experiment.stats.compare import Alternative, Difference
from simulators.engines.experiment.worlds import Arms, ClicksWorld, RevenueWorld, chunk_sizes
from simulators.experimentation import _readout_data as own
from simulators.experimentation import _readout_report as report
from simulators.experimentation._readout_analysis import Plan, Question, Readout, Route, Truth, read_out
from simulators.experimentation._readout_insights import capped, insights
from simulators.lab import Context, Frame, Insight, Lab, LabParams, Preset, Progress, Result, Steps, param

CONTROL, TREATMENT = "control", "treatment"
QUANTILES = {"none": None, "0.999": 0.999, "0.99": 0.99}
REVENUE_ONLY = {"metric": ["revenue"]}
World = RevenueWorld | ClicksWorld
Look = tuple[int, Comparison, Comparison]


class ReadoutLab(Lab):
    """What did this test show, and what would a better analysis have saved?

    Each arm is reduced to its count, its means and its sums of products; every number on this page is computed from those, so a change
    of alpha, covariate or metric never reads the users again.

    **The test.** Welch's t-test compares the arms without assuming equal variances. A relative lift divides by the control mean, which is
    itself an estimate; the delta method adds its noise. The interval that ignores it stands in the table beside the full one.

    **CUPED.** Users who spent a lot before the test spend a lot during it. Subtracting theta times last period's value, with
    theta = cov / var within the arms, removes the share rho squared of the variance and leaves the effect alone, because history cannot be
    moved by the treatment. Users without a history keep their variance. A covariate measured during the test can be moved by the
    treatment, and then part of the effect is subtracted with it.

    **Ratios.** Clicks per view with users randomised is a ratio of two means. Each user counts once,
    through (clicks - R views) / mean views.
    Views taken as independent units give an interval that is too narrow.

    **Winsorising.** Capping the largest values trades variance for a changed question: what happens above the cap is no longer measured.

    **Sample ratio.** Before any metric, a chi-square test asks whether the arms hold the shares they were dealt.

    In the synthetic world 3 % of users buy, for lognormal amounts (sigma 1.5); the pre-period has the correlation you choose. Everything
    about it is known, so truth and the least possible variance are drawn beside what the test found.
    """

    title = "Read out a test"
    why = "Unit of analysis, covariates and heavy tails move verdicts more than models do."
    map_axes = ("variance_left", "ci_width")
    engines = (
        "simulators.engines.experiment.stats.compare",
        "simulators.engines.experiment.stats.linear",
        "simulators.engines.experiment.worlds",
    )
    sources = (
        "Deng, Xu, Kohavi & Walker 2013, CUPED",
        "Deng, Knoblich & Lu 2018, arXiv 1803.06336, delta method",
        "Welch 1947, unequal variances",
        "Fabijan et al. 2019, sample ratio mismatch",
    )
    data = own.SPEC

    class Params(LabParams):
        metric: Literal["revenue", "clicks_per_view"] = param(
            "revenue",
            title="Metric",
            group="world",
            help="Revenue a user is skewed; clicks per view is a ratio whose unit of analysis matters.",
            labels={"revenue": "Revenue a user", "clicks_per_view": "Clicks per view"},
        )
        users: int = param(
            200_000,
            title="Users",
            unit="users",
            ge=10_000,
            le=10_000_000,
            scale="log",
            group="world",
            help="Users in both arms together, over 14 days.",
        )
        lift: float = param(
            2.0, title="True lift", unit="%", ge=-20, le=20, step=0.5, group="world", help="What the treatment really does to the metric."
        )
        lift_kind: Literal["conversion", "amount"] = param(
            "conversion",
            title="Lift acts on",
            group="world",
            help="More buyers, or larger amounts of the same buyers.",
            labels={"conversion": "How many buy", "amount": "How much they spend"},
            shown_when=REVENUE_ONLY,
        )
        rho: float = param(
            0.7,
            title="Pre/post correlation",
            ge=0,
            le=0.95,
            step=0.05,
            group="world",
            help="Correlation of a user's metric before and during the test.",
        )
        new_users: float = param(
            20.0, title="New users", unit="%", ge=0, le=100, step=5, group="world", help="Share of users without any history."
        )
        covariates: Literal["none", "one", "several", "post_period"] = param(
            "one",
            title="Covariates",
            group="analysis",
            help="What CUPED adjusts for. The last choice is a trap: it was measured during the test.",
            labels={"none": "None", "one": "One from before", "several": "Several from before", "post_period": "One from during the test"},
        )
        ratio_variance: Literal["delta", "naive"] = param(
            "delta",
            title="Variance of a ratio",
            group="analysis",
            help="Delta method with users as units, or views taken as units.",
            labels={"delta": "Delta method", "naive": "Views as units"},
            shown_when={"metric": ["clicks_per_view"]},
        )
        winsorise: Literal["none", "0.999", "0.99"] = param(
            "none",
            title="Winsorise at",
            group="analysis",
            help="Cap revenue and its covariates at this quantile.",
            labels={"none": "No cap", "0.999": "99.9 % quantile", "0.99": "99 % quantile"},
            shown_when=REVENUE_ONLY,
        )
        difference: Difference = param(
            "relative",
            title="Effect as",
            group="analysis",
            help="Absolute difference, or lift over the control mean with or without the noise of that mean.",
            labels={"absolute": "Absolute", "relative": "Relative", "relative_fixed": "Relative, control mean as known"},
        )
        alternative: Alternative = param(
            "two-sided",
            title="Alternative",
            group="analysis",
            help="Which deviations count as evidence.",
            labels={"two-sided": "Two-sided", "greater": "Treatment is higher", "less": "Treatment is lower"},
        )
        alpha: float = param(
            5.0, title="Alpha", unit="%", ge=0.1, le=20, group="analysis", help="False positives allowed when nothing changed."
        )
        power: float = param(
            80.0, title="Target power", unit="%", ge=50, le=99, step=1, group="analysis", help="Chance wanted to find a true effect."
        )
        accept_srm: bool = param(
            False,
            title="Show the verdict despite a red sample ratio",
            group="analysis",
            help="With a red sample ratio the verdict is hidden until you accept it.",
        )

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
            "counter_case",
            "The honest counter-case",
            "A pre-period that says nothing: CUPED costs a pipeline and saves no users.",
            {"rho": 0.07, "metric": "clicks_per_view", "new_users": 0.0},
        ),
        Preset(
            "whales",
            "Two whales and a cap",
            "Larger baskets lift revenue by 8 %; capping at 99 % hides most of it.",
            {"lift": 8.0, "lift_kind": "amount", "winsorise": "0.99", "users": 1_000_000},
        ),
    )

    def run(self, params: Params, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from _run_own(params, ctx))
        return (yield from _run_world(params, ctx))


def _question(params: ReadoutLab.Params) -> Question:
    return Question(params.difference, params.alternative, params.alpha / 100, params.power / 100)


# --- a world whose truth is known ------------------------------------------------------------------------------------------------------


def _run_world(params: ReadoutLab.Params, ctx: Context) -> Steps:
    world, plan, question = _world(params), _world_plan(params), _question(params)
    arms, track = yield from _arrivals(world, plan, params, ctx)
    readout = _world_readout(world, plan, question, params, ctx, arms)
    figures = [*report.figures(readout), report.narrowing(readout, track)]
    said = insights(readout, acknowledged=params.accept_srm) + list(_cap_insights(readout, params))
    return Result(report.metrics(readout), figures, report.tables(readout), said, list(_world_notes(params)))


def _arrivals(
    world: World, plan: Plan, params: ReadoutLab.Params, ctx: Context
) -> Generator[Progress | Frame, None, tuple[Arms, list[Look]]]:
    """Users chunk by chunk; a look each time their number has doubled. Chunks in the cache pass without a word."""
    arms: Arms | None = None
    track: list[Look] = []
    seen = 0
    for index, size in enumerate(chunk_sizes(params.users)):
        chunk, fresh = _chunk(world, index, size, ctx)
        arms = chunk if arms is None else (arms[0] + chunk[0], arms[1] + chunk[1])
        seen += size
        look = not track or seen >= 2 * track[-1][0] or seen == params.users
        if look:
            readout = _world_readout(world, plan, _question(params), params, ctx, arms)
            track.append((seen, readout.readings[0].raw, readout.readings[0].headline))
        if fresh:
            yield (
                Frame(report.metrics(readout), [report.narrowing(readout, track)])
                if look
                else Progress(seen, params.users, "users arriving")
            )
    assert arms is not None
    return arms, track


def _chunk(world: World, index: int, size: int, ctx: Context) -> tuple[Arms, bool]:
    """The chunk, and whether it had to be drawn."""
    fresh = False

    def draw() -> Arms:
        nonlocal fresh
        fresh = True
        if isinstance(world, ClicksWorld):
            return world.chunk(index, size, ctx.rng)
        return world.chunk(index, size, ctx.rng, _caps(world, ctx))

    return ctx.asset(f"readout/{world.key}/seed={ctx.seed}/{index}/{size}", draw, disk=False), fresh


def _caps(world: RevenueWorld, ctx: Context) -> dict[str, dict[str, float]]:
    return ctx.asset(f"readout/{world.key}/seed={ctx.seed}/caps", lambda: world.caps(ctx.rng), disk=False)


def _world(params: ReadoutLab.Params) -> World:
    lift, new = params.lift / 100, params.new_users / 100
    return (
        ClicksWorld(lift, params.rho, new) if params.metric == "clicks_per_view" else RevenueWorld(lift, params.lift_kind, params.rho, new)
    )


def _world_plan(params: ReadoutLab.Params) -> Plan:
    if params.metric == "clicks_per_view":
        routes = {
            "none": Route("Unadjusted"),
            "one": Route("One covariate", ("pre_clicks",), "pre_views"),
            "several": Route("Several covariates", ("pre_clicks", "pre_views", "new")),
            "post_period": Route("Covariate from the test", ("post_clicks",), "post_views"),
        }
        naive = params.ratio_variance == "naive"
        return Plan(
            "clicks",
            "Clicks per view",
            routes,
            params.covariates,
            "views",
            naive,
            absolute_unit="pp",
            absolute_factor=100.0,
            column_unit="clicks a user",
        )
    suffix = "" if params.winsorise == "none" else f"_{params.winsorise}"
    routes = {
        "none": Route("Unadjusted"),
        "one": Route("One covariate", (f"x{suffix}", "new")),
        "several": Route("Several covariates", (f"x{suffix}", f"s{suffix}", "new")),
        "post_period": Route("Covariate from the test", (f"post{suffix}",)),
    }
    return Plan(
        f"y{suffix}",
        "Revenue a user" + (", capped" if suffix else ""),
        routes,
        params.covariates,
        absolute_unit="$ a user",
        column_unit="$ a user",
    )


def _world_readout(world: World, plan: Plan, question: Question, params: ReadoutLab.Params, ctx: Context, arms: Arms) -> Readout:
    named = {CONTROL: arms[0], TREATMENT: arms[1]}
    counts = {name: moments.n for name, moments in named.items()}
    srm = srm_test(list(counts.values()), (1, 1))
    return read_out(plan, question, named, counts, {}, srm, _truth(world, params, ctx, arms))


def _truth(world: World, params: ReadoutLab.Params, ctx: Context, arms: Arms) -> Truth:
    """The least variance possible is known for the uncapped metrics; a cap bends the correlation."""
    known = 1 - world.new_users
    if isinstance(world, ClicksWorld):
        return Truth(world.true_lift(), world.true_lift(), world.mean(), _least(world, known))
    if params.winsorise == "none":
        return Truth(world.true_lift(), world.true_lift(), world.mean(), _least(world, _known_share(arms)))
    cap = _caps(world, ctx)[params.winsorise]["y"]
    return Truth(world.true_lift(cap), world.true_lift(), world.mean(cap))


def _least(world: World, known: float) -> dict[str, float]:
    return {"none": 1.0, "one": 1 - world.removable("one", known), "several": 1 - world.removable("several", known)}


def _known_share(arms: Arms) -> float:
    """Share of this population's variance that users with a history carry; a few big spenders make it differ from their share of users."""
    covariance = arms[0].covariance() + arms[1].covariance()
    y, known = arms[0].index("y"), arms[0].index("known")
    return float(covariance[y, known] / covariance[y, y]) if covariance[y, y] > 0 else 0.0


def _cap_insights(readout: Readout, params: ReadoutLab.Params) -> Iterator[Insight]:
    if params.metric == "revenue" and params.winsorise != "none":
        control, treatment = readout.arms.values()
        yield from capped(readout, compare(control, treatment, "y", difference=params.difference), readout.readings[0], params.winsorise)


def _world_notes(params: ReadoutLab.Params) -> Iterator[str]:
    if params.metric == "clicks_per_view" and params.ratio_variance == "naive" and params.covariates != "none":
        yield "Views taken as units have no history of their own, so the chosen analysis ignores the covariates."
    if params.metric == "revenue" and params.winsorise != "none":
        yield "The cap was fixed before the test, on an earlier population of the same kind; the truth drawn is that of the capped metric."


# --- your own file ---------------------------------------------------------------------------------------------------------------


def _run_own(params: ReadoutLab.Params, ctx: Context) -> Steps:
    assert ctx.data is not None
    ratio = bool(ctx.data.options.get("denominator", "").strip())
    found = yield from own.read_own(ctx, None if ratio else QUANTILES[params.winsorise])
    plan = _own_plan(params, found)
    readout = read_out(plan, _question(params), found.arms, found.assigned, found.missing, found.srm, None)
    said = insights(readout, acknowledged=params.accept_srm)
    outlier = found.outlier()
    if outlier:
        said.append(Insight(f"{outlier[1]} Read the result with and without it.", "evaluation", "outlier"))
    return Result(report.metrics(readout), report.figures(readout), report.tables(readout), said, list(_own_notes(params, found)))


def _own_plan(params: ReadoutLab.Params, found: own.OwnData) -> Plan:
    mapped = found.roles.covariates
    routes = {"none": Route("Unadjusted")}
    if mapped:
        routes["one"] = Route(f"Adjusted for {mapped[0]}", found.roles.covariate_names(1))
    if len(mapped) > 1:
        routes["several"] = Route(f"Adjusted for {len(mapped)} covariates", found.roles.covariate_names())
    fallback = "one" if params.covariates == "several" and mapped else "none"
    wanted = params.covariates if params.covariates in routes else fallback
    ratio = bool(found.roles.denominator)
    label = f"{found.roles.metric} per {found.roles.denominator}" if ratio else found.roles.metric
    unit, factor = ("pp", 100.0) if found.proportion and not ratio else (label, 1.0)
    naive = ratio and params.ratio_variance == "naive"
    return Plan(METRIC, label, routes, wanted, DENOMINATOR if ratio else None, naive, unit, factor, found.roles.metric)


def _own_notes(params: ReadoutLab.Params, found: own.OwnData) -> Iterator[str]:
    if params.covariates != "none" and not found.roles.covariates:
        yield "CUPED was not applied: no pre-period column is mapped, and only what was known before exposure may be used."
    if params.covariates == "post_period" and found.roles.covariates:
        yield "The covariate from the test belongs to the synthetic world; your file was read without adjustment."
    if params.winsorise != "none" and (found.roles.denominator or found.proportion):
        yield "Winsorising was left out: it applies to a plain numeric metric, not to a ratio or a True/False column."
    if any(found.missing.values()):
        counts = ", ".join(f"{arm} {count:,}" for arm, count in found.missing.items())
        yield f"Rows without a metric are left out of the comparison and kept in the sample ratio: {counts}."
    if found.part.no_arm:
        yield f"{found.part.no_arm:,} rows have no arm and are left out."
