"""Lab: stopping rules for tests that are read while they run."""

from __future__ import annotations

import numpy as np

from simulators.engines.experiment.sequential import kernel
from simulators.engines.experiment.sequential.stopping import Design, Kind, StoppingRow, rule_bounds, stopping_steps
from simulators.experimentation import _peeking_views as views
from simulators.experimentation._peeking_challenge import DAILY_READ
from simulators.experimentation._peeking_insights import insights
from simulators.experimentation._peeking_params import PeekingParams
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps, Working

SLOW_BOUNDS = ("obrien_fleming", "power", "pocock", "haybittle_peto")  # integrated look by look
FRAMES = 3
PATHS = 1_000


class Peeking(Lab):
    """Which stopping rule lets you look every day without fooling yourself, and at what cost?

    Thousands of tests are simulated twice on the same noise: once with no effect, once with one. Each rule reads every test look by look
    and stops it when |z|, the estimate over its standard error, reaches the rule's bound. A stop without an effect is a false positive;
    with one, it counts towards power. What is drawn is the running difference of means, which is normal for the sample sizes here; the
    standard error is taken as known.

    **Naive** stops at the first p below alpha. **Bonferroni** divides alpha by the planned looks. **Haybittle-Peto** asks for z = 3 until
    the last look, which gets what is left of alpha.

    **Group sequential** rules spend alpha along the plan (Lan and DeMets): O'Brien-Fleming late, Pocock evenly, power spending as t to an
    exponent. Their bounds come from the exact distribution of the paths that are still running, integrated from look to look. They need
    the number of users planned: past the end there is no alpha left.

    **Always-valid** intervals and the **mSPRT** hold at every user, for ever. The price is a wider bound at the looks you do make.
    N* and tau say at which size they are tightest.

    **Exaggeration** is the mean estimate of the tests that stopped over the true effect: stopping when the estimate is high selects high
    estimates. (Trap: a valid p-value does not make the estimate at the stop unbiased.)
    """

    title = "Peeking and stopping rules"
    why = '"Use mSPRT" is half an answer: looks in daily batches favour group sequential designs, and an overrun favours the other kind.'
    engines = (
        "simulators.engines.experiment.sequential.group",
        "simulators.engines.experiment.sequential.anytime",
        "simulators.engines.experiment.sequential.stopping",
    )
    sources = (
        "Lan & DeMets 1983, Discrete sequential boundaries for clinical trials, Biometrika 70(3)",
        "Waudby-Smith et al., Time-uniform central limit theory, arXiv 2103.06476",
        "Johari, Koomen, Pekelis & Walsh, Always valid inference, arXiv 1512.04922",
        "Armitage, McPherson & Rowe 1969, Repeated significance tests on accumulating data, JRSS A 132(2)",
    )
    map_axes = ("mean_looks", "power")
    Params = PeekingParams
    challenges = (DAILY_READ,)
    presets = (
        Preset(
            "stop_on_green",
            "Stop on green",
            "The dashboard turns green at p < 5 % and the team ships: one test in five without any effect is shipped.",
            {"rules": ("fixed", "naive", "bonferroni")},
        ),
        Preset(
            "batch_once_a_day",
            "Batch once a day",
            "One read a day, the length known beforehand: a spending plan beats every rule that could be read at any second.",
            {"rules": ("fixed", "obrien_fleming", "power", "pocock", "always_valid", "msprt"), "rho": 3.0},
        ),
        Preset(
            "we_ran_over",
            "We ran over",
            "Two more weeks, because it was almost significant: the plan has no alpha left, the always-valid rules do not mind.",
            {"rules": ("fixed", "obrien_fleming", "power", "pocock", "always_valid", "msprt"), "overrun": 2.0},
        ),
        Preset(
            "stream_of_looks",
            "Stream of looks",
            "The same users in 140 looks: naive peeking gets worse with each, the others hardly notice.",
            {"looks": 140, "n_per_look": 50, "rules": ("naive", "bonferroni", "obrien_fleming", "always_valid", "msprt"), "reps": 50_000},
        ),
        Preset(
            "half_the_noise",
            "Half of the noise",
            "A covariate with correlation 0.7 pays for the always-valid interval.",
            {"rules": ("fixed", "obrien_fleming", "always_valid"), "variance_ratio": 0.51, "tuning": 14_000},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        kernel.warm_up()

    def run(self, params: PeekingParams, ctx: Context) -> Steps:
        yield Progress(0, params.reps, "working out the bounds")
        design = params.design()
        bounds = []
        for kind in params.rules:
            bounds.append((yield from _bounds(kind, params, design, ctx)))
        rows = yield from _simulated(np.asarray(bounds), params, design, ctx)
        # The stream the tests were drawn from, from its start: the paths shown are the first tests simulated.
        first = ctx.rng("tests").standard_normal((min(PATHS, params.reps), len(design.n)))
        return Result(
            metrics=views.metrics(rows, params, design),
            figures=[
                views.false_positives_figure(rows, design),
                views.boundaries_figure(rows, design),
                views.stopping_figure(rows, params, design),
                views.paths_figure(first, params, design),
            ],
            tables=views.tables(rows, params, design),
            insights=tuple(insights(rows, params, design)),
        )


def _bounds(kind: Kind, params: PeekingParams, design: Design, ctx: Context) -> Working[np.ndarray]:
    def build() -> Working[np.ndarray]:
        steps, k = rule_bounds(params.rule(kind), design), 0
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return np.asarray(stop.value)
            k += 1
            yield Progress(0, params.reps, f"working out the bound at look {k}")

    if kind not in SLOW_BOUNDS:
        return (yield from build())
    rho = params.rho if kind == "power" else ""
    key = f"peeking/{kind}/{rho}/{params.alpha}/{params.shares}/{len(design.n)}"
    return (yield from ctx.asset_steps(key, build, disk=False))


def _simulated(bounds: np.ndarray, params: PeekingParams, design: Design, ctx: Context) -> Working[dict[str, StoppingRow]]:
    shown, rows = 0.0, dict[str, StoppingRow]()
    steps = stopping_steps(bounds, design, params.truth, params.reps, ctx.rng("tests"))
    for done, found in steps:
        rows = dict[str, StoppingRow](zip(params.rules, found, strict=True))
        yield Progress(done, params.reps, "simulating tests")
        if done >= shown + params.reps / FRAMES and done < params.reps:
            shown = done
            yield Frame(views.metrics(rows, params, design), [views.false_positives_figure(rows, design)])
    return rows
