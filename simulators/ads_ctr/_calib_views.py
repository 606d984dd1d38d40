"""Tiles, figures and the table of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulators.ads_ctr._calib_params import FITTED, GROUPING_LABELS, GROUPINGS, METHOD_LABELS, PACING_LABELS, Grouping, Method, design_name
from simulators.ads_ctr._calib_study import CURVE_ROWS, Design, Outcome, Study
from simulators.engines.ranking import metrics
from simulators.engines.ranking.auction import Day, Pacing
from simulators.engines.ranking.calibration import reliability
from simulators.figures import Axis, Series, line_figure
from simulators.lab import Figure, Metric, Table

ORACLE = "true probabilities"
METHOD_COLOURS: dict[Method, int] = {"none": 1, "platt": 0, "isotonic": 2, "temperature": 3, "histogram": 4}
GROUPING_COLOURS: dict[Grouping, int] = {"global": 5, "segment": 2, "slice": 3}
SEGMENTS = ("other slices", "biased segment")
BINS = 10
LEAST_LOSS = 0.001  # drawn for what is less: a logarithmic axis has no zero


# --- tiles --------------------------------------------------------------------------------------------------------------------


def auction_metrics(study: Study) -> list[Metric]:
    mine, truth = study.chosen, study.truth
    error = 1.96 * study.lost_se(mine)
    lost = (100 * (mine.lost - error), 100 * (mine.lost + error))
    ratio, off = mine.winner_ratio, None if mine.winner_ratio is None else abs(mine.winner_ratio - 1)
    note = "" if ratio is not None else "nothing was sold"
    return [
        Metric("welfare_lost", "Welfare lost to wrong probabilities", 100 * mine.lost, "%", "down", lost, limit=0.0, limit_label=ORACLE),
        Metric("revenue_off", "Revenue against the true one", 100 * mine.overcharged, "%", limit=0.0, limit_label=ORACLE),
        Metric("wrong_winners", "Auctions the wrong ad won", 100 * mine.wrong_winners, "%", "down", limit=0.0, limit_label=ORACLE),
        Metric("winner_ratio", "Predicted over true clicks, winners", ratio, "ratio", limit=1.0, limit_label="ideal", note=note),
        Metric("winner_error", "Winners' ratio off 1", off, "ratio", "down", limit=0.0, limit_label="ideal", note=note),
        Metric("ratio", "Predicted over true clicks, all ads", mine.ratio, "ratio", limit=1.0, limit_label="ideal"),
        Metric("ecpm", "Revenue", _ecpm(study, mine), "$ per 1,000 auctions", limit=_ecpm(study, truth), limit_label=ORACLE),
        _value_per_dollar(mine, truth),
        Metric("cal_rows", "Rows of the calibration log", float(_rows(study)), "rows", "down"),
    ]


def _rows(study: Study) -> int:
    return 0 if study.params.calibrator == "none" else study.params.cal_rows


def _ecpm(study: Study, of: Outcome) -> float:
    return 1000 * of.revenue / len(of.each)


def _value_per_dollar(mine: Outcome, truth: Outcome) -> Metric:
    value, limit = (of.welfare / of.revenue if of.revenue else None for of in (mine, truth))
    note = "" if value is not None else "nothing was sold"
    return Metric(
        "value_per_dollar", "Value an advertiser gets for a dollar", value, "$ a $", "up", limit=limit, limit_label=ORACLE, note=note
    )


def probability_metrics(study: Study) -> list[Metric]:
    setting, mine = study.setting, study.chosen
    oracle = metrics.auc(setting.clicks, setting.p)
    return [
        Metric("auc", "AUC", metrics.auc(setting.clicks, mine.test), "AUC", "up", limit=oracle, limit_label=ORACLE),
        Metric("ece", "Calibration error (ECE)", 100 * metrics.ece(setting.p, mine.test), "pp", "down", limit=0.0, limit_label=ORACLE),
        Metric("excess", "Excess log loss", mine.excess, "10⁻³ nats", "down", limit=0.0, limit_label=ORACLE),
        *(Metric(f"ratio_{i}", f"Predicted over true, {SEGMENTS[i]}", study.ratio(mine, i), "ratio", limit=1.0) for i in (0, 1)),
    ]


def day_metrics(study: Study) -> list[Metric]:
    day, none, true = study.day, study.days["none"], study.true_day
    gone = ~np.isnan(day.depleted_at)
    when = 24 * float(day.depleted_at[gone].mean()) if gone.any() else None
    gain = 100 * (day.welfare / none.welfare - 1) if none.welfare else None
    unsold = "" if gain is not None else "nothing was sold without pacing"
    paced = study.params.pacing != "none"  # without pacing better probabilities may only spend the money sooner
    limit = 100 * (true.welfare / none.welfare - 1) if true and paced and none.welfare else None
    return [
        Metric("deviation", "Spend off the ideal curve", 100 * day.deviation, "%", "down", limit=0.0, limit_label="ideal"),
        Metric("overspend", "Spent above budget", 100 * day.overspend, "%", "down", limit=0.0, limit_label="ideal"),
        Metric("exhausted", "Advertisers out of money before midnight", 100 * float(gone.mean()), "%", "down"),
        Metric("gone_at", "Out of money at, mean", when, "h", "up", limit=24.0, note="" if gone.any() else "every budget lasted"),
        Metric("day_gain", "Welfare of the day against no pacing", gain, "%", "up", limit=limit, limit_label=ORACLE, note=unsold),
        Metric("spent", "Spent of all budgets", 100 * float(day.revenue / day.budget.sum()), "%", limit=100.0, limit_label="budgets"),
    ]


# --- figures ------------------------------------------------------------------------------------------------------------------


def designs_figure(study: Study) -> Figure:
    """Welfare lost by each calibrator and grouping on a log scale; the uncalibrated model is the dashed line."""
    names = [METHOD_LABELS[method] for method in FITTED]
    raw, best = study.raw.lost, min(study.others, key=lambda design: abs(study.others[design].lost))
    series = [_designs(study.others, by) for by in GROUPINGS]
    series.append(Series("no calibrator", names, [max(raw, LEAST_LOSS)] * len(names), "lines", truth=True))
    title = f"Uncalibrated {raw:.1%} of welfare is lost; {design_name(*best)} leaves {study.others[best].lost:.1%}"
    if raw < 0:  # only beside a reserve
        title = (
            f"Uncalibrated welfare is {-raw:+.1%} off the true one, for more is sold; {design_name(*best)}: {-study.others[best].lost:+.1%}"
        )
    said = "; ".join(f"{design_name(*design)} {found.lost:.1%}" for design, found in study.others.items())
    return line_figure(
        "designs",
        title,
        f"Welfare lost against the true probabilities with {study.params.cal_rows:,} rows: no calibrator {raw:.1%}; {said}.",
        series,
        Axis("Calibrator"),
        Axis("Welfare lost, 0.1 or more", percent=True, type="log"),
    )


def _designs(others: dict[Design, Outcome], by: Grouping) -> Series:
    lost = [others[method, by].lost for method in FITTED]
    names, shown = [METHOD_LABELS[method] for method in FITTED], [max(share, LEAST_LOSS) for share in lost]
    text = [f"{name} {GROUPING_LABELS[by]}: {share:.2%}" for name, share in zip(names, lost, strict=True)]
    return Series(GROUPING_LABELS[by], names, shown, "markers", GROUPING_COLOURS[by], text=text)


def reliability_figure(study: Study) -> Figure:
    """Clicks seen against clicks predicted, by segment, with 95 % intervals; the diagonal is what was promised."""
    series = [_reliability(study, study.chosen, i) for i in (0, 1)]
    if study.params.calibrator != "none":
        series += [_reliability(study, study.raw, i, name=f"{SEGMENTS[i]}, uncalibrated", colour=(5, 4)[i]) for i in (0, 1)]
    ends = [min(min(item.x) for item in series), max(max(item.x) for item in series)]
    series.append(Series("ideal", ends, ends, "lines", truth=True))
    other, biased = (study.ratio(study.chosen, i) for i in (0, 1))
    title = f"Predicted over true clicks: {biased:.2f} in the biased segment, {other:.2f} elsewhere"
    return line_figure(
        "reliability",
        title,
        f"{title}; {study.ratio(study.raw, 1):.2f} and {study.ratio(study.raw, 0):.2f} uncalibrated.",
        series,
        Axis("Predicted click probability", percent=True, type="log"),
        Axis("Clicked", percent=True, type="log"),
    )


def _reliability(study: Study, of: Outcome, segment: int, name: str = "", colour: int = 0) -> Series:
    rows = study.setting.segment == segment
    table = reliability(study.setting.clicks[rows], of.test[rows], BINS)
    kept = (table.rate > 0) & (table.p_mean > 0)  # a logarithmic axis has no zero
    columns = [part[kept].tolist() for part in (table.p_mean, table.rate, table.lo, table.hi, table.n)]
    p, rate, lo, hi, n = columns
    text = [f"{a:.2%} predicted, {b:.2%} clicked, {c:,} impressions" for a, b, c in zip(p, rate, n, strict=True)]
    if name:  # in the background, without intervals
        return Series(name, p, rate, "lines", colour, text=text)
    return Series(SEGMENTS[segment], p, rate, "lines+markers", (0, 1)[segment], text=text, low=lo, high=hi)


def curve_figure(study: Study) -> Figure:
    """Excess log loss by rows of the log; the uncalibrated model is the dashed line."""
    shown: Sequence[Method] = [method for method in FITTED if method in study.curves]
    series = [Series(METHOD_LABELS[method], CURVE_ROWS, _positive(study.curves[method]), colour=METHOD_COLOURS[method]) for method in shown]
    raw = study.raw.excess
    needed = {method: _rows_needed(study.curves[method], raw) for method in ("platt", "isotonic")}
    title = f"Rows to beat no calibrator: Platt {needed['platt']}, isotonic {needed['isotonic']}"
    said = "; ".join(f"{METHOD_LABELS[m]} {study.curves[m][0]:.2f} at 500 and {study.curves[m][-1]:.2f} at 150,000 rows" for m in shown)
    series.append(Series("no calibrator", [CURVE_ROWS[0], CURVE_ROWS[-1]], [raw, raw] if raw > 0 else [None, None], "lines", truth=True))
    grouping = GROUPING_LABELS[study.params.by]
    return line_figure(
        "rows",
        title,
        f"Excess log loss of one map {grouping}, in thousandths of a nat: {said}; no calibrator {raw:.2f}.",
        series,
        Axis("Calibration log", "rows", "log"),
        Axis("Excess log loss", "10⁻³ nats", "log"),
    )


def _positive(values: Sequence[float]) -> list[float | None]:
    return [value if value > 0 else None for value in values]


def _rows_needed(curve: Sequence[float], raw: float) -> str:
    good = [rows for rows, value in zip(CURVE_ROWS, curve, strict=True) if value < raw]
    return f"{min(good):,}" if good else "more than 150,000"


def spend_figure(study: Study) -> Figure:
    """Spend so far over all budgets, by hour; ideal is in proportion to traffic."""
    day = study.day
    hours = [24 * (t + 1) / len(day.spend) for t in range(len(day.spend))]
    series = [_spend(made, hours, pacing_name(pacing), pacing) for pacing, made in study.days.items()]
    ideal = (day.ideal.sum(axis=1) / day.budget.sum()).tolist()
    series.append(Series("at the pace of traffic", hours, ideal, "lines", truth=True))
    gone = ~np.isnan(day.depleted_at)
    if gone.any():
        title = (
            f"{int(gone.sum())} of {len(gone)} advertisers are out of money, on average at {_clock(float(day.depleted_at[gone].mean()))}"
        )
    else:
        title = f"Every budget lasts the day; spend strays {day.deviation:.1%} from the pace of traffic"
    said = "; ".join(f"{pacing_name(pacing)} {made.deviation:.1%}" for pacing, made in study.days.items())
    summary = f"{title}. Farthest from the pace of traffic: {said}."
    return line_figure("spend", title, summary, series, Axis("Time of day", "h", range=(0, 24)), Axis("Spent of all budgets", percent=True))


def _spend(day: Day, hours: list[float], name: str, pacing: Pacing) -> Series:
    share = np.cumsum(day.spend.sum(axis=1)) / day.budget.sum()
    return Series(name, hours, share.tolist(), "lines", {"none": 1, "throttle": 4, "multiplier": 0}[pacing])


def pacing_name(pacing: Pacing) -> str:
    return "no pacing" if pacing == "none" else PACING_LABELS[pacing]


def _clock(share: float) -> str:
    minutes = round(24 * 60 * share)
    return f"{minutes // 60}:{minutes % 60:02d}"


# --- the table ----------------------------------------------------------------------------------------------------------------


def designs_table(study: Study) -> Table:
    """Every calibrator beside the chosen one; a difference under two standard errors is called noise."""
    columns = (
        "Calibrator",
        "Welfare lost (%)",
        "Revenue off (%)",
        "Wrong winners (%)",
        "Winners' predicted over true (ratio)",
        "All ads' predicted over true (ratio)",
        "Excess log loss (10⁻³ nats)",
        "Beside the chosen one",
    )
    found = {design_name("none", "global"): study.raw} | {design_name(*design): made for design, made in study.others.items()}
    mine = design_name(study.params.calibrator, study.params.by)
    rows = tuple((name, *_cells(made), "chosen" if name == mine else _beside(study, made)) for name, made in found.items())
    return Table("designs", f"Every calibrator with {study.params.cal_rows:,} rows", columns, rows)


def _cells(of: Outcome) -> tuple[float | None, ...]:
    return 100 * of.lost, 100 * of.overcharged, 100 * of.wrong_winners, of.winner_ratio, of.ratio, of.excess


def _beside(study: Study, other: Outcome) -> str:
    apart, error = other.lost - study.chosen.lost, study.lost_se(other, study.chosen)
    if abs(apart) < 2 * error or apart == 0:
        return "within noise"
    return "loses less" if apart < 0 else "loses more"


def pacing_table(study: Study) -> Table:
    columns = (
        "Pacing",
        "Off the pace of traffic (%)",
        "Out of money (advertisers)",
        "Spent of all budgets (%)",
        "Above budget (%)",
        "Welfare ($)",
        "Welfare against no pacing (%)",
    )
    none = study.days["none"].welfare
    rows = tuple(
        (
            pacing_name(pacing),
            100 * day.deviation,
            int((~np.isnan(day.depleted_at)).sum()),
            100 * day.revenue / float(day.budget.sum()),
            100 * day.overspend,
            day.welfare,
            100 * (day.welfare / none - 1) if none else None,
        )
        for pacing, day in study.days.items()
    )
    return Table("pacing", "The same day under each pacing", columns, rows)
