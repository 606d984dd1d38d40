"""Running and showing the two ranking questions."""

from __future__ import annotations

import numpy as np

from simulators.experimentation._interference_ranking import SESSIONS, Duel, SellerTest, duel, seller_test
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table

FRAMES = 6


def run_viewer(replicates: int, ctx: Context) -> Steps:
    rng, total, track = ctx.rng("duel"), None, list[tuple[int, float, float]]()
    for i in range(replicates):
        drawn = duel(rng)
        total = drawn if total is None else total + drawn
        track.append((total.sessions, abs(total.preference) / total.preference_se, abs(total.ab_gain_mean) / total.ab_se))
        yield Progress(i + 1, replicates, "sessions")
        if i + 1 < replicates and (i + 1) % max(1, replicates // FRAMES) == 0:
            yield Frame(_viewer_metrics(total), [_race_figure(track)])
    assert total is not None
    return Result(_viewer_metrics(total), [_race_figure(track), _needed_figure(total)], [_viewer_table(total)], _viewer_insights(total))


def _viewer_metrics(total: Duel) -> list[Metric]:
    half = 1.96 * total.preference_se
    preference = total.preference
    duels = (100 * (preference - half), 100 * (preference + half))
    found = total.preference > 0 and total.gain > 0
    return [
        Metric("gte", "True click gain of B", 100 * total.gain, "%"),
        Metric("preference", "Duels won less lost by B", 100 * preference, "pp", "up", duels),
        Metric("sessions_needed@ab", "Sessions needed", total.sessions_ab, "sessions", "down", series="A/B test"),
        Metric("sessions_needed@duel", "Sessions needed", total.sessions_duel, "sessions", "down", series="Interleaving",
               limit=total.sessions_ab if found else None, limit_label="A/B test" if found else ""),
        Metric("sessions_ratio", "Sessions saved, A/B over interleaving", total.sessions_ab / total.sessions_duel, "x", "up"),
    ]  # fmt: skip


def _race_figure(track: list[tuple[int, float, float]]) -> Figure:
    sessions = [point[0] for point in track]
    series = [
        Series("interleaving", sessions, [point[1] for point in track], "lines", 2),
        Series("A/B test", sessions, [point[2] for point in track], "lines", 1),
    ]
    title = f"After {sessions[-1]:,} sessions the duel stands at {track[-1][1]:.1f} s.e., the A/B test at {track[-1][2]:.1f}"
    summary = "Distance from zero in standard errors as sessions arrive, for both tests of the same two rankers."
    figure = line_figure("race", title, summary, series, Axis("Sessions", "sessions"), Axis("Evidence", "s.e. from zero"))
    return with_line(figure, label="significant", y=1.96)


def _needed_figure(total: Duel) -> Figure:
    names, values = ["A/B test", "Interleaving"], [total.sessions_ab, total.sessions_duel]
    series = [Series("sessions", names, values, text=[f"{value:,.0f}" for value in values])]
    title = f"Interleaving needs {values[0] / values[1]:.0f} times fewer sessions"
    summary = f"For 80 % power an A/B test needs {values[0]:,.0f} sessions, interleaving {values[1]:,.0f}."
    return bar_figure("needed", title, summary, series, Axis("Test"), Axis("Sessions for 80 % power", "sessions", "log"))


def _viewer_table(total: Duel) -> Table:
    rows = (
        ("A/B test", "relative clicks (%)", 100 * total.ab_gain_mean, 100 * total.ab_se, total.sessions_ab),
        ("Interleaving", "duels won less lost (pp)", 100 * total.preference, 100 * total.preference_se, total.sessions_duel),
    )
    return Table(
        "tests", "Two tests of one pair of rankers", ("Test", "Measures", "Reading (%)", "s.e. (%)", "Sessions needed (count)"), rows
    )


def _viewer_insights(total: Duel) -> list[Insight]:
    ratio = total.sessions_ab / total.sessions_duel
    saved = (
        f"B gains {100 * total.gain:.1f} % of clicks; a team draft shows it in {total.sessions_duel:,.0f} sessions, an A/B test in "
        f"{total.sessions_ab:,.0f}: {ratio:.0f} times as many, because the duel compares inside a session."
    )
    direction = (
        f"The duel's {100 * total.preference:+.1f} pp of sessions is no estimate of the {100 * total.gain:+.1f} % of clicks: it gives the "
        "direction, and an A/B test still has to price the launch."
    )
    return [Insight(saved, "deep_dive", "interleaving_saves"), Insight(direction, "evaluation", "direction_only")]


# --- sellers ------------------------------------------------------------------------------------------------------------------------


def run_seller(replicates: int, ctx: Context) -> Steps:
    rng, tests = ctx.rng("sellers"), list[SellerTest]()
    for i in range(replicates):
        tests.append(seller_test(rng))
        yield Progress(i + 1, replicates, "sessions")
        if i + 1 < replicates and (i + 1) % max(1, replicates // FRAMES) == 0:
            yield Frame(_seller_metrics(tests), [_seller_figure(tests)])
    return Result(_seller_metrics(tests), [_seller_figure(tests)], [_seller_table(tests)], _seller_insights(tests))


def _gains(tests: list[SellerTest]) -> tuple[np.ndarray, np.ndarray]:
    """Mean gain in % of (truth, naive, interleaving), and half of its 95 % interval over replicates."""
    gains = 100 * np.array([test.gains for test in tests])
    spread = gains.std(axis=0, ddof=1) if len(tests) > 1 else np.zeros(3)
    return gains.mean(axis=0), 1.96 * spread / len(tests) ** 0.5


def _seller_metrics(tests: list[SellerTest]) -> list[Metric]:
    (truth, *reads), (_, *halves) = _gains(tests)
    made = [Metric("gte", "True gain of new sellers", float(truth), "%")]
    for key, label, read, half in zip(("split", "counterfactual"), SELLER_TESTS, reads, halves, strict=True):
        interval = (float(read - half), float(read + half)) if len(tests) > 1 else None
        made.append(
            Metric(f"estimate@{key}", "Estimate", float(read), "%", None, interval, limit=float(truth), limit_label="GTE", series=label)
        )
        made.append(Metric(f"abs_bias@{key}", "|Bias|", float(abs(read - truth)), "pp", "down", series=label))
    return made


SELLER_TESTS = ("Split of sellers", "Counterfactual interleaving")


def _seller_figure(tests: list[SellerTest]) -> Figure:
    (truth, *reads), _ = _gains(tests)
    text = [f"{read:.0f} %" for read in reads]
    series = [Series("read by the test", list(SELLER_TESTS), [float(read) for read in reads], text=text)]
    title = f"A split of sellers reads {reads[0]:+.0f} %, counterfactual interleaving {reads[1]:+.0f} %, a launch gives {truth:+.0f} %"
    summary = (
        f"New sellers' looks: true gain {truth:.1f} %, "
        + ", ".join(f"{n.lower()} {t}" for n, t in zip(SELLER_TESTS, text, strict=True))
        + "."
    )
    figure = bar_figure("sellers", title, summary, series, Axis("Test"), Axis("Gain of new sellers' looks", "%"))
    return with_line(figure, label="launch to all (GTE)", y=float(truth))


def _seller_table(tests: list[SellerTest]) -> Table:
    means, halves = _gains(tests)
    names = ("Launch to all", *SELLER_TESTS)
    rows = tuple((n, float(m), float(h), float(m - means[0])) for n, m, h in zip(names, means, halves, strict=True))
    return Table("sellers", f"{len(tests) * SESSIONS:,} pages", ("Test", "Gain (%)", "Half 95 % interval (%)", "Bias (pp)"), rows)


def _seller_insights(tests: list[SellerTest]) -> list[Insight]:
    (truth, naive, interleaved), _ = _gains(tests)
    said = [
        Insight(
            f"Boosted sellers climb past the unboosted half, so the split counts the same places twice and reads {naive:+.0f} % for a true "
            f"{truth:+.0f} %.",
            "clarify",
            "seller_split_biased",
        )
    ]
    if abs(interleaved - truth) < abs(naive - truth):
        text = (
            f"Placing each seller where its own arm's full ranking puts it leaves {abs(interleaved - truth):.0f} pp of error instead of "
            f"{abs(naive - truth):.0f} pp; what stays comes from places that both rankings claim."
        )
        said.append(Insight(text, "deep_dive", "counterfactual_helps"))
    return said
