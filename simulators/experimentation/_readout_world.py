"""The readout on a synthetic experiment: users arrive chunk by chunk, and the truth is drawn beside what the test finds."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from simulators.engines.experiment.srm import srm_test
from simulators.engines.experiment.stats import Comparison, compare
from simulators.engines.experiment.worlds import Arms, ClicksWorld, RevenueWorld, chunk_sizes
from simulators.experimentation import _readout_report as report
from simulators.experimentation._readout_analysis import Plan, Question, Readout, Route, Truth, read_out
from simulators.experimentation._readout_insights import capped, insights
from simulators.experimentation._readout_params import ReadoutParams, question_of
from simulators.experimentation._readout_tables import tables
from simulators.lab import Context, Frame, Insight, Progress, Result, Steps

CONTROL, TREATMENT = "control", "treatment"
World = RevenueWorld | ClicksWorld
Look = tuple[int, Comparison, Comparison]


def run_world(params: ReadoutParams, ctx: Context) -> Steps:
    world, plan, question = _world(params), _world_plan(params), question_of(params)
    arms, track = yield from _arrivals(world, plan, params, ctx)
    readout = _world_readout(world, plan, question, params, ctx, arms)
    figures = [*report.figures(readout), report.narrowing(readout, track)]
    said = insights(readout, acknowledged=params.accept_srm) + list(_cap_insights(readout, params))
    return Result(report.metrics(readout), figures, tables(readout), said, list(_world_notes(params)))


def _arrivals(world: World, plan: Plan, params: ReadoutParams, ctx: Context) -> Generator[Progress | Frame, None, tuple[Arms, list[Look]]]:
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
            readout = _world_readout(world, plan, question_of(params), params, ctx, arms)
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


def _world(params: ReadoutParams) -> World:
    lift, new = params.lift / 100, params.new_users / 100
    return (
        ClicksWorld(lift, params.rho, new) if params.metric == "clicks_per_view" else RevenueWorld(lift, params.lift_kind, params.rho, new)
    )


def _world_plan(params: ReadoutParams) -> Plan:
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


def _world_readout(world: World, plan: Plan, question: Question, params: ReadoutParams, ctx: Context, arms: Arms) -> Readout:
    named = {CONTROL: arms[0], TREATMENT: arms[1]}
    counts = {name: moments.n for name, moments in named.items()}
    srm = srm_test(list(counts.values()), (1, 1))
    return read_out(plan, question, named, counts, {}, srm, _truth(world, params, ctx, arms))


def _truth(world: World, params: ReadoutParams, ctx: Context, arms: Arms) -> Truth:
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


def _cap_insights(readout: Readout, params: ReadoutParams) -> Iterator[Insight]:
    if params.metric == "revenue" and params.winsorise != "none":
        control, treatment = readout.arms.values()
        yield from capped(readout, compare(control, treatment, "y", difference=params.difference), readout.readings[0], params.winsorise)


def _world_notes(params: ReadoutParams) -> Iterator[str]:
    if params.metric == "clicks_per_view" and params.ratio_variance == "naive" and params.covariates != "none":
        yield "Views taken as units have no history of their own, so the chosen analysis ignores the covariates."
    if params.metric == "revenue" and params.winsorise != "none":
        yield "The cap was fixed before the test, on an earlier population of the same kind; the truth drawn is that of the capped metric."
