"""Lab: who lands in which arm, what experiments do to one another, and whether the logs prove it."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.experiment.assignment import hash_many
from simulators.experimentation import _assignment_views as views
from simulators.experimentation._assignment_alarm import simulate
from simulators.experimentation._assignment_challenge import TWELVE_TEAMS
from simulators.experimentation._assignment_insights import insights
from simulators.experimentation._assignment_logs import Logs, log_chunk, read_logs
from simulators.experimentation._assignment_params import AssignmentParams
from simulators.experimentation._assignment_plan import HASH_VERSIONS, Packing, packing_of
from simulators.experimentation._assignment_traffic import CHUNK, SEEDS, Audit, Traffic, audit_chunk, engagement, ids_of, traffic_chunk
from simulators.experimentation._assignment_views import Findings
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps, Working


class AssignmentLab(Lab):
    """Does every user land in the intended arm, independently of other experiments, and do the logs prove it?

    **Hash.** A unit's arm is a hash of its id and the experiment's seed, so no table of assignments is kept. The audit hashes all units
    with twelve seeds that differ only at their end and compares the arms of each pair; chance alone gives correlations of about one over
    the root of the units.

    **Layers.** Each layer hashes with a seed of its own and gives its experiments disjoint parts of the number line: inside a layer
    experiments exclude one another, across layers they overlap at random. The holdout is cut off before all layers. Twelve experiments
    need 20 % of the units each; three pairs of them cost 4 % of engagement where both treat a unit. A packing that asks a layer for more
    than it has gets its experiments cut to fit.

    **Logs.** One experiment without any effect runs over all units. Between assignment and log a fault takes treated units away, or adds
    rows. A crash hits units of low engagement most: those it loses have 0.3 of the mean. The readout is Welch's test on what is left, and
    the sample ratio is tested phase by phase, each against its own share.

    **Alarm.** A thousand experiments of the chosen volume, with the fault and without, are counted day by day. The chi-square test is read
    once or every day; the sequential test (Dirichlet prior, Lindon and Malek) may be read at every look.
    """

    title = "Assignment and sample ratio"
    why = (
        "Faults of assignment and logging look like wins, and exclusive traffic is finite. An interviewer wants layers, salts and a sample "
        "ratio test that survives being looked at every day."
    )
    phase = "architecture"
    map_axes = ("layers_used", "traffic_met")
    engines = (
        "simulators.engines.experiment.assignment",
        "simulators.engines.experiment.assignment.hashing",
        "simulators.engines.experiment.assignment.evaluate",
        "simulators.engines.experiment.assignment.conditions",
        "simulators.engines.experiment.assignment.many",
        "simulators.engines.experiment.srm",
    )
    sources = (
        "GrowthBook SDK specification 0.7",
        "Tang, Agarwal, O'Brien & Meyer 2010, Overlapping experiment infrastructure",
        "Fabijan et al. 2019, sample ratio mismatch",
        "Lindon & Malek 2022, anytime-valid inference for multinomial count data",
    )
    Params = AssignmentParams
    challenges = (TWELVE_TEAMS,)
    presets = (
        Preset(
            "crash_that_won",
            "The crash that won",
            "One treated user in a hundred crashes, the least engaged most. How often does that win, and how often does an alarm ring?",
            {"fault_rate": 1.0},
        ),
        Preset(
            "exp_1_predicts_exp_2",
            "exp-1 predicts exp-2",
            "FNV v1 with seeds that differ in their last character: an arm of one experiment tells the arm of the next.",
            {"hash": "fnv_v1", "fault": "none"},
        ),
        Preset(
            "twelve_teams",
            "Twelve teams, one traffic",
            "One layer for all: nobody meets, and nobody gets half of the traffic they need.",
            {"packing": "one_layer", "fault": "none"},
        ),
        Preset(
            "ramp_without_phases",
            "Ramp without phases",
            "10 % for a week, then 50 %: nothing is wrong, and the pooled sample ratio is red.",
            {"ramp": (10.0,) * 7 + (50.0,), "fault": "none"},
        ),
    )

    def run(self, params: AssignmentParams, ctx: Context) -> Steps:
        packing = packing_of(params)
        alarms = simulate(params, ctx.rng("assignment/alarm"))
        yield Progress(0, params.n_units, "hashing")
        audit, traffic, logs = yield from _population(params, packing, ctx)
        found = Findings(params, packing, audit, traffic, read_logs(params, logs), alarms)
        interaction = views.interaction_figure(found)
        return Result(
            metrics=[*views.log_metrics(found.reading), *views.plan_metrics(found), *views.alarm_metrics(found)],
            figures=[
                views.log_figure(found.reading),
                views.lift_figure(found.reading),
                views.looks_figure(found),
                views.alarms_figure(found),
                views.phi_figure(audit),
                views.phi_matrix(audit),
                views.buckets_figure(audit),
                views.coverage_figure(found),
                *([interaction] if interaction else []),
            ],
            tables=list(views.tables(found)),
            insights=list(insights(found)),
            notes=list(_notes(params)),
        )


def _population(params: AssignmentParams, packing: Packing, ctx: Context) -> Working[tuple[Audit, Traffic, Logs]]:
    """All units in chunks, a picture each time their number has doubled."""
    total: tuple[Audit, Traffic, Logs] | None = None
    done, shown = 0, 0
    while done < params.n_units:
        size = min(CHUNK, params.n_units - done)
        chunk = _chunk(params, packing, ctx, done, size)
        total = chunk if total is None else (total[0] + chunk[0], total[1] + chunk[1], total[2] + chunk[2])
        done += size
        if done >= 2 * shown:
            shown, reading = done, read_logs(params, total[2])
            yield Frame(views.log_metrics(reading), [views.log_figure(reading), views.lift_figure(reading), views.phi_figure(total[0])])
        yield Progress(done, params.n_units, "assigning units")
    assert total is not None
    return total


def _chunk(params: AssignmentParams, packing: Packing, ctx: Context, start: int, size: int) -> tuple[Audit, Traffic, Logs]:
    """What the hash alone decides is kept for the next run; the log is drawn anew."""
    first = int(ctx.rng("assignment/ids").integers(10**6, 9 * 10**8))
    ids = ids_of(params, first, start, size)
    y = engagement(ctx.rng(f"assignment/engagement/{start}"), size)
    world = f"assignment/{params.hash}/{params.id_kind}/seed={ctx.seed}/{start}/{size}"
    audit = ctx.asset(f"{world}/audit", lambda: audit_chunk(params, ids), disk=False)
    traffic = ctx.asset(f"{world}/{packing.layers}/{params.holdout}", lambda: traffic_chunk(packing, ids, y), disk=False)
    seed = "shared" if params.hash == "unsalted" else SEEDS[0]
    u = ctx.asset(f"{world}/u", lambda: hash_many(ids, seed, HASH_VERSIONS[params.hash]), disk=False)
    return audit, traffic, log_chunk(params, y, u, ctx.rng(f"assignment/log/{start}"))


def _notes(params: AssignmentParams) -> Iterator[str]:
    if params.packing == "custom":
        yield "Your plan is taken as written; experiments it does not name get no traffic."
