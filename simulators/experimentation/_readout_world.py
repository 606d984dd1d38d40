"""The readout on a synthetic experiment: users arrive chunk by chunk, and the truth is drawn beside what the test finds."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.experiment.srm import srm_test
from simulators.engines.experiment.stats import Comparison, compare
from simulators.engines.experiment.stats.linear import linear_form
from simulators.engines.experiment.worlds import Arms, Chunk, ClicksWorld, RevenueWorld, chunk_sizes
from simulators.experimentation import _readout_calibration as calibration
from simulators.experimentation import _readout_days as days
from simulators.experimentation import _readout_report as report
from simulators.experimentation import _readout_tree as tree
from simulators.experimentation._readout_analysis import Plan, Question, Readout, Route, Truth, power_at, read_out
from simulators.experimentation._readout_family import draw_family, rates
from simulators.experimentation._readout_insights import capped, insights
from simulators.experimentation._readout_params import ReadoutParams, question_of
from simulators.experimentation._readout_tables import tables
from simulators.lab import Context, Frame, Insight, Metric, Progress, Result, Steps, Working

CONTROL, TREATMENT = "control", "treatment"
REGULARS = {"buyers": 0.45, "sigma": 1.087}  # coefficient of variation 2.5, and 2.0 capped at 99 %
World = RevenueWorld | ClicksWorld
Look = tuple[int, Comparison, Comparison]


def run_world(params: ReadoutParams, ctx: Context) -> Steps:
    world, plan, question = _world(params), _world_plan(params), question_of(params)
    users, track = yield from _arrivals(world, plan, params, ctx)
    readout = _world_readout(world, plan, question, params, ctx, users)
    parts = [_readings(readout, track, params), _tree(readout, params, ctx), _baseline(readout, users, params)]
    if params.aa_runs:
        parts.append((yield from _calibrated(world, plan, question, params, ctx)))
    said = [insight for part in parts for insight in part.insights] + list(_cap_insights(readout, params)) + list(_trigger(readout, params))
    return Result(
        [metric for part in parts for metric in part.metrics],
        [figure for part in parts for figure in part.figures],
        [table for part in parts for table in part.tables],
        said,
        list(_world_notes(params)),
    )


def _readings(readout: Readout, track: list[Look], params: ReadoutParams) -> Result:
    figures = [*report.figures(readout), report.narrowing(readout, track)]
    return Result(report.metrics(readout), figures, tables(readout), insights(readout, acknowledged=params.accept_srm))


def _tree(readout: Readout, params: ReadoutParams, ctx: Context) -> Result:
    """The metric tree around this North Star, and what corrections do at its true effects."""
    head, alpha = readout.readings[0].headline, readout.question.alpha
    n = (readout.arms[CONTROL].n, readout.arms[TREATMENT].n)
    family = draw_family(params, n, head, ctx)
    z = (readout.true_effect or 0.0) / head.se if head.se else 0.0
    found = rates(z, params, sum(n), ctx, params.correction)
    null_wins = 1 - (1 - alpha) ** params.metrics
    decision, reason = tree.decide(family, head, alpha)
    truth = readout.truth.lift if readout.truth else None
    relative = head if readout.question.difference != "absolute" else readout.readings[0].fixed
    return Result(
        [
            *tree.metrics(family, found, decision, null_wins),
            Metric("users", "Users in the test", float(params.users), "users", better="down"),
        ],
        [tree.figure(family, alpha)] if params.metrics > 1 else [],
        [tree.table(family, relative, truth, readout.plan.label, alpha)],
        tree.insights(family, found, decision, reason, alpha, null_wins),
    )


def _baseline(readout: Readout, users: Chunk, params: ReadoutParams) -> Result:
    """Control by day; revenue is capped at the 99.9 % quantile, since one big spender is no drift."""
    control = users.assigned[0]
    share = params.metric == "clicks_per_view"
    names = ("clicks", "views") if share else ("y_0.999", None)
    form = linear_form(control, CONTROL, *names)
    variance = float(form.weights @ control.covariance() @ form.weights)
    per_unit = float(control.mean[control.index("views")]) if share else 1.0
    found = [days.Day(str(i + 1), n / per_unit, total / n) for i, (n, total, _) in enumerate(users.days) if n]
    made = days.bands(found, variance)
    return Result([], [days.figure(made, readout.plan.label, "clicks a view" if share else "$ a user")], [], days.insights(made))


def _calibrated(world: World, plan: Plan, question: Question, params: ReadoutParams, ctx: Context) -> Working[Result]:
    caps = {} if isinstance(world, ClicksWorld) else _caps(world, ctx)
    analysis = f"{plan.metric}/{plan.chosen}/{plan.naive_ratio}/{question}/{params.aa_runs}/{min(params.users, calibration.POOL)}"
    found = yield from ctx.asset_steps(
        f"readout/aa/{world.key}/{analysis}/seed={ctx.seed}",
        lambda: calibration.calibrate(world, caps, plan, question, params.aa_runs, params.users, ctx),
        disk=False,
    )
    alpha = question.alpha
    return Result(calibration.metrics(found, alpha), [calibration.figure(found, alpha)], [], calibration.insights(found, alpha))


def _trigger(readout: Readout, params: ReadoutParams) -> Iterator[Insight]:
    if params.trigger_rate == 100 or not params.lift:
        return
    head, arm = readout.readings[0].headline, TREATMENT
    chance = power_at(readout, head, arm, readout.true_effect or 0.0)
    if chance is None:
        return
    effect = report.effect_text(readout, readout.true_effect or 0.0)
    if params.population == "assigned":
        text = (
            f"Only {params.trigger_rate:g}% of the users reach the change: {params.lift:+.3g}% among them is {effect} over all, "
            f"found in {chance:.0%} of tests. Log the trigger in both arms and analyse those."
        )
        yield Insight(text, "deep_dive", "diluted")
    else:
        yield Insight(
            f"Analysing only those who triggered keeps the effect undiluted: it is found in {chance:.0%} of such tests.",
            "deep_dive",
            "triggered",
        )


def _arrivals(world: World, plan: Plan, params: ReadoutParams, ctx: Context) -> Working[tuple[Chunk, list[Look]]]:
    """Users chunk by chunk; a look each time their number has doubled. Chunks in the cache pass without a word."""
    users: Chunk | None = None
    track: list[Look] = []
    seen = 0
    for index, size in enumerate(chunk_sizes(params.users)):
        chunk, fresh = _chunk(world, index, size, ctx)
        users = chunk if users is None else users + chunk
        seen += size
        look = not track or seen >= 2 * track[-1][0] or seen == params.users
        if look:
            readout = _world_readout(world, plan, question_of(params), params, ctx, users)
            track.append((seen, readout.readings[0].raw, readout.readings[0].headline))
        if fresh:
            yield (
                Frame(report.metrics(readout), [report.narrowing(readout, track)])
                if look
                else Progress(seen, params.users, "users arriving")
            )
    assert users is not None
    return users, track


def _chunk(world: World, index: int, size: int, ctx: Context) -> tuple[Chunk, bool]:
    """The chunk, and whether it had to be drawn."""
    fresh = False

    def draw() -> Chunk:
        nonlocal fresh
        fresh = True
        if isinstance(world, ClicksWorld):
            return world.chunk(index, size, ctx.rng)
        return world.chunk(index, size, ctx.rng, _caps(world, ctx))

    return ctx.asset(f"readout/{world.key}/seed={ctx.seed}/{index}/{size}", draw, disk=False), fresh


def _caps(world: RevenueWorld, ctx: Context) -> dict[str, dict[str, float]]:
    return ctx.asset(f"readout/{world.key}/seed={ctx.seed}/caps", lambda: world.caps(ctx.rng), disk=False)


def _world(params: ReadoutParams) -> World:
    lift, new, reach = params.lift / 100, params.new_users / 100, params.trigger_rate / 100
    if params.metric == "clicks_per_view":
        return ClicksWorld(lift, params.rho, new, reach)
    shape = REGULARS if params.metric == "spend" else {}
    return RevenueWorld(lift, params.lift_kind, params.rho, new, reach, **shape)


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
        ("Spending a user" if params.metric == "spend" else "Revenue a user") + (", capped" if suffix else ""),
        routes,
        params.covariates,
        absolute_unit="$ a user",
        column_unit="$ a user",
    )


def _world_readout(world: World, plan: Plan, question: Question, params: ReadoutParams, ctx: Context, users: Chunk) -> Readout:
    arms = users.of(params.population)
    named = {CONTROL: arms[0], TREATMENT: arms[1]}
    counts = {name: moments.n for name, moments in named.items()}
    srm = srm_test(list(counts.values()), (1, 1))
    return read_out(plan, question, named, counts, {}, srm, _truth(world, params, ctx, arms))


def _truth(world: World, params: ReadoutParams, ctx: Context, arms: Arms) -> Truth:
    """The least variance possible is known for the uncapped metrics; a cap bends the correlation."""
    known, reached = 1 - world.new_users, 1.0 if params.population == "triggered" else world.trigger_rate
    if isinstance(world, ClicksWorld):
        return Truth(reached * world.true_lift(), reached * world.true_lift(), world.mean(), _least(world, known))
    if params.winsorise == "none":
        return Truth(reached * world.true_lift(), reached * world.true_lift(), world.mean(), _least(world, _known_share(arms)))
    cap = _caps(world, ctx)[params.winsorise]["y"]
    return Truth(reached * world.true_lift(cap), reached * world.true_lift(), world.mean(cap))


def _least(world: World, known: float) -> dict[str, float]:
    return {"none": 1.0, "one": 1 - world.removable("one", known), "several": 1 - world.removable("several", known)}


def _known_share(arms: Arms) -> float:
    """Share of this population's variance that users with a history carry; a few big spenders make it differ from their share of users."""
    covariance = arms[0].covariance() + arms[1].covariance()
    y, known = arms[0].index("y"), arms[0].index("known")
    return float(covariance[y, known] / covariance[y, y]) if covariance[y, y] > 0 else 0.0


def _cap_insights(readout: Readout, params: ReadoutParams) -> Iterator[Insight]:
    if params.metric != "clicks_per_view" and params.winsorise != "none":
        control, treatment = readout.arms.values()
        yield from capped(readout, compare(control, treatment, "y", difference=params.difference), readout.readings[0], params.winsorise)


def _world_notes(params: ReadoutParams) -> Iterator[str]:
    if params.metric == "clicks_per_view" and params.ratio_variance == "naive" and params.covariates != "none":
        yield "Views taken as units have no history of their own, so the chosen analysis ignores the covariates."
    if params.metric != "clicks_per_view" and params.winsorise != "none":
        yield "The cap was fixed before the test, on an earlier population of the same kind; the truth drawn is that of the capped metric."
