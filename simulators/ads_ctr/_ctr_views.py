"""Tiles, figures and tables of the lab `ctr_models`."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.ads_ctr._ctr_params import Design, short
from simulators.ads_ctr._ctr_study import Judged, Study
from simulators.engines.ranking.calibration import reliability
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

BINS = 12
BYTES_A_NUMBER = 4  # float32
# Zhu et al. 2022 (BARS) and the benchmark's page, Criteo_x1, read in 2024: another log, of 46 million rows. AUC, log loss.
PUBLISHED = (
    ("LR", 0.7886, 0.4609),
    ("FM", 0.8022, 0.4491),
    ("DNN", 0.8137, 0.4382),
    ("DLRM", 0.8138, 0.4382),
    ("MaskNet", 0.8139, 0.4380),
    ("DCN-V2", 0.8142, 0.4378),
    ("FinalNet", 0.8154, 0.4365),
)
UNKNOWN = "with your own file the truth is not known"


# --- tiles ---------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    mine = study.mine
    return ([] if mine is None else _of_production(study, mine)) + [m for d, j in study.judged.items() for m in _of_design(study, d, j)]


def _of_production(study: Study, mine: Judged) -> list[Metric]:
    found, own = mine.quality, study.case.own
    note = UNKNOWN if own else "the world leaves nothing to learn"
    truth = "" if own else "truth"
    slices = "with your own file ads are not told apart" if own else "too few test rows of such ads"
    return [
        _share("closed", "Gap to the truth closed", found.closed, note),
        Metric("auc", "AUC", found.auc, "probability", "up", limit=study.case.oracle_auc, limit_label=truth),
        Metric("excess", "Excess log loss", found.excess, "10⁻³ nats", "down", limit=None if own else 0.0, limit_label="truth", note=note),
        Metric(
            "log_loss", "Log loss", found.log_loss, "nats", "down", limit=study.case.oracle_loss, limit_label="truth" if not own else ""
        ),
        Metric("entropy", "Normalised entropy", found.entropy, "of the constant's", "down"),
        Metric("ratio", "Predicted over true clicks", found.ratio, "ratio", limit=1.0, limit_label="ideal"),
        Metric("miscalibrated", "Predicted clicks off, either way", 100 * abs(found.ratio - 1), "%", "down"),
        Metric("ece", "Calibration error by bin", found.ece, "probability", "down", limit=0.0, limit_label="ideal"),
        Metric(
            "gauc", "AUC within users", found.gauc, "probability", "up", note="" if found.gauc is not None else "no user has both labels"
        ),
        _share("new_ads", "Gap closed, ads below 20 impressions", mine.by_age[0] if mine.by_age else None, slices),
        _share("young_ads", "Gap closed, ads below 100 impressions", mine.young, slices),
        Metric("table_params", "Numbers in the table", mine.table_params, "numbers", "down"),
        Metric("table_mb", "Table with its optimiser", table_bytes(mine, study) / 2**20, "MiB", "down"),
        Metric("macs", "Multiply-adds a prediction", mine.macs_per_row, "multiply-adds", "down"),
        Metric("rows_seen", "Rows learned from", mine.rows_seen, "rows"),
        Metric("rows_per_cpu_s", "Training speed", mine.rows_seen / max(mine.cpu_s, 1e-9), "rows/CPU-s", "up", measured=True),
        Metric("collisions", "Ids a bucket, largest field", study.case.collisions, "ids", "down"),
    ]


def _share(key: str, label: str, value: float | None, note: str, series: str = "") -> Metric:
    shown = None if value is None else 100 * value
    return Metric(key, label, shown, "%", "up", limit=100.0, limit_label="truth", series=series, note=note if value is None else "")


def _of_design(study: Study, design: Design, item: Judged) -> list[Metric]:
    name = short(design)
    return [
        _share(
            f"closed@{design}", "Gap closed", item.quality.closed, UNKNOWN if study.case.own else "the world leaves nothing to learn", name
        ),
        Metric(f"auc@{design}", "AUC", item.quality.auc, "probability", "up", series=name),
        Metric(f"ratio@{design}", "Predicted over true", item.quality.ratio, "ratio", limit=1.0, limit_label="ideal", series=name),
        Metric(f"macs@{design}", "Multiply-adds a prediction", item.macs_per_row, "multiply-adds", "down", series=name),
        Metric(
            f"rows_per_cpu_s@{design}",
            "Training speed",
            item.rows_seen / max(item.cpu_s, 1e-9),
            "rows/CPU-s",
            "up",
            measured=True,
            series=name,
        ),
    ]


def table_bytes(item: Judged, study: Study) -> int:
    """Weights, and one running sum a row."""
    width = max(1, item.table_params // max(1, sum(study.case.train.cards)))
    return BYTES_A_NUMBER * (item.table_params + item.table_params // width)


# --- figures -------------------------------------------------------------------------------------------------------------


def colour(study: Study, design: Design) -> int:
    return study.designs.index(design)


def streamed(study: Study) -> list[Figure]:
    """What is drawn while the models train."""
    made = [curve_figure(study)] if study.curves else []
    return [*made, quality_figure(study), reliability_figure(study)] if study.judged else made


def figures(study: Study) -> list[Figure]:
    ages = [age_figure(study)] if any(item.by_age for item in study.judged.values()) else []
    return [*streamed(study), *ages, cost_figure(study)]


def score(study: Study, item: Judged) -> float:
    """What the bars show: the gap closed, or on an own file the loss saved against the constant; in percent."""
    return 100 * (1 - item.quality.entropy if item.quality.closed is None else item.quality.closed)


def quality_figure(study: Study) -> Figure:
    ranked = sorted(study.judged, key=lambda design: score(study, study.judged[design]))
    values = [score(study, study.judged[design]) for design in ranked]
    own = study.case.own
    what = "Log loss below the constant's" if own else "Gap between constant and truth closed"
    series = [
        Series(short(design), [short(design)], [value], colour=colour(study, design), text=[f"{value:.1f} %"])
        for design, value in zip(ranked, values, strict=True)
    ]
    said = "; ".join(f"{short(design)} {value:.1f} %" for design, value in zip(ranked, values, strict=True))
    verb = "saves" if own else "closes"
    figure = bar_figure(
        "quality",
        f"{short(ranked[-1])} {verb} most: {values[-1]:.0f} % of the {'loss' if own else 'gap'}",
        f"{what}, in percent. {said}.",
        series,
        Axis("Model"),
        Axis(what, "%"),
    )
    figure.plot["layout"]["showlegend"] = False
    return figure if own else with_line(figure, label="truth", y=100)


def curve_figure(study: Study) -> Figure:
    """Loss of rows just before they are learned from."""
    excess = study.excess_known
    series = [
        Series(short(design), [x for x, _ in points], [y for _, y in points], "lines", colour(study, design))
        for design, points in study.curves.items()
    ]
    last = {design: float(np.mean([y for _, y in points[-5:]])) for design, points in study.curves.items()}
    best = min(last, key=lambda design: last[design])
    what = "Excess log loss of the next rows" if excess else "Log loss of the next rows"
    figure = line_figure(
        "curve",
        f"{short(best)} ends its training at {last[best]:.0f} thousandths of a nat{' above the truth' if excess else ''}",
        f"{what}, each predicted before it was learned from. " + "; ".join(f"{short(d)} ends at {v:.1f}" for d, v in last.items()) + ".",
        series,
        Axis("Rows learned from", "rows"),
        Axis(what, "10⁻³ nats"),
    )
    gap = study.case.gap
    return with_line(figure, label="constant", y=1000 * gap) if excess and gap else figure


def reliability_figure(study: Study) -> Figure:
    series: list[Series] = []
    top = 0.0
    for design, item in study.judged.items():
        bins = reliability(study.case.test.y, item.p, BINS)
        top = max(top, float(np.max(bins.p_mean)), float(np.max(bins.rate)))
        mine = design == study.params.model
        series.append(
            Series(
                short(design),
                [float(v) for v in bins.p_mean],
                [float(v) for v in bins.rate],
                "lines+markers",
                colour(study, design),
                low=[float(v) for v in bins.lo] if mine else None,
                high=[float(v) for v in bins.hi] if mine else None,
            )
        )
    diagonal = Series("calibrated", [0.0, top], [0.0, top], "lines", truth=True)
    worst = max(study.judged, key=lambda design: abs(np.log(max(study.judged[design].quality.ratio, 1e-9))))
    ratio = study.judged[worst].quality.ratio
    return line_figure(
        "reliability",
        f"{short(worst)} is furthest off: it predicts {ratio:.2f} clicks for each true one",
        f"Clicks against predictions in {BINS} bins of equal mass. "
        + "; ".join(f"{short(d)}: {j.quality.ratio:.2f} predicted over true" for d, j in study.judged.items())
        + ".",
        [diagonal, *series],
        Axis("Predicted probability", percent=True),
        Axis("Clicks seen", percent=True),
    )


def age_figure(study: Study) -> Figure:
    names = ["below 20", "20 to 99", "100 to 499", "500 or more"]
    shown: dict[Design, list[float | None]] = {
        design: [None if value is None else 100 * value for value in item.by_age] for design, item in study.judged.items()
    }
    series: list[Series] = []
    for design, values in shown.items():
        text = ["" if value is None else f"{value:.0f}" for value in values]
        series.append(Series(short(design), names, values, colour=colour(study, design), text=text))
    mine = next(iter(shown.values()))
    young, old = mine[0], mine[-1]
    said = "too few impressions of new ads to say" if young is None or old is None else f"{young:.0f} % on new ads, {old:.0f} % on old ones"
    figure = bar_figure(
        "ads",
        f"{short(next(iter(shown)))}, gap closed: {said}",
        "Share of the gap closed by the training impressions of the ad. "
        + "; ".join(f"{short(d)}: " + ", ".join("none" if v is None else f"{v:.0f} %" for v in values) for d, values in shown.items())
        + ".",
        series,
        Axis("Training impressions of the ad"),
        Axis("Gap closed", "%"),
    )
    return with_line(figure, label="truth", y=100)


def cost_figure(study: Study) -> Figure:
    """Quality against the arithmetic of a prediction."""
    points = [
        Series(
            short(d),
            [max(1, j.macs_per_row)],
            [score(study, j)],
            "markers",
            colour(study, d),
            text=[f"{short(d)}: {score(study, j):.1f} %"],
        )
        for d, j in study.judged.items()
    ]
    cheapest = min(study.judged, key=lambda d: study.judged[d].macs_per_row)
    best = max(study.judged, key=lambda d: score(study, study.judged[d]))
    times = study.judged[best].macs_per_row / max(1, study.judged[cheapest].macs_per_row)
    own = study.case.own
    return line_figure(
        "cost",
        f"{short(best)} computes {times:,.0f} times what {short(cheapest)} does" if times > 1 else f"{short(best)} is the cheapest as well",
        "; ".join(f"{short(d)}: {j.macs_per_row:,} multiply-adds, {score(study, j):.1f} %" for d, j in study.judged.items()) + ".",
        points,
        Axis("Multiply-adds a prediction", "multiply-adds", "log"),
        Axis("Log loss below the constant's" if own else "Gap closed", "%"),
    )


# --- tables --------------------------------------------------------------------------------------------------------------


def tables(study: Study) -> list[Table]:
    return [_models(study), _published()]


def _models(study: Study) -> Table:
    columns = (
        "Model",
        "Gap closed (%)",
        "AUC (probability)",
        "Log loss (nats)",
        "Predicted over true (ratio)",
        "Calibration error (probability)",
        "Numbers in the table (numbers)",
        "Multiply-adds (a row)",
        "Rows learned from (rows)",
    )
    rows: list[tuple[Any, ...]] = []
    for design, item in study.judged.items():
        q = item.quality
        closed = None if q.closed is None else 100 * q.closed
        rows.append((short(design), closed, q.auc, q.log_loss, q.ratio, q.ece, item.table_params, item.macs_per_row, item.rows_seen))
    if not study.case.own:
        rows.append(("truth", 100.0, study.case.oracle_auc, study.case.oracle_loss, 1.0, None, None, None, None))
    return Table("models", "Every model on the same rows", columns, tuple(rows))


def _published() -> Table:
    return Table(
        "published",
        "Published on Criteo_x1 (BARS 2022): not the same data, and the deep models lie within 0.002",
        ("Model", "AUC (probability)", "Log loss (nats)"),
        PUBLISHED,
    )
