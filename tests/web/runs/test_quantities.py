"""Numbers as readers see them, and tiles sorted into a table of designs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.runs.compare import tiles
from mlsd_app.runs.templatetags.labs import comparison
from mlsd_app.runs.templatetags.quantities import GAP, MINUS, PREFIXED, PREFIXES, quantity, signed
from simulators.units import behind

POWERS = {prefix: power for power, prefix in PREFIXES.items()}


def read_back(text: str, unit: str) -> float:
    """The number that a reader takes from `text`, in the unit the lab gave."""
    symbol, power = PREFIXED.get(unit, (behind(text.partition(GAP)[0], unit), 0))
    found = re.fullmatch(rf"({MINUS}?)([\d.\u202f]+(?:e{MINUS}?-?\d+)?){GAP}?([nµmkMGTP]?){GAP}?{re.escape(symbol)}", text)
    assert found, text
    size = float(found[2].replace("\u202f", "").replace(MINUS, "-")) * 10.0 ** POWERS[found[3]]
    return (-size if found[1] else size) / 10.0**power


@given(st.floats(1e-6, 1e14) | st.floats(-1e14, -1e-6), st.sampled_from(["s", "ms", "us", "bytes", "GB", "vectors", ""]))
def test_a_reader_gets_the_number_back_to_three_digits(value: float, unit: str) -> None:
    if unit in ("bytes", "GB") and abs(value) < 1:
        return  # a part of a byte is written out
    assert read_back(quantity(value, unit), unit) == pytest.approx(value, rel=0.006)


@given(st.floats(1e-6, 1e14), st.sampled_from(["s", "bytes", "vectors"]))
def test_at_most_four_figures_stand_before_a_prefix(value: float, unit: str) -> None:
    digits = re.sub(r"\D", "", quantity(value, unit).split("e")[0])
    assert len(digits.lstrip("0")) <= 6


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0042, "s", f"4.20{GAP}ms"),
        (999.6, "ms", f"1.00{GAP}s"),
        (75, "us", f"75{GAP}µs"),
        (1.0, "share", "1.00"),
        (0, "ms", f"0{GAP}ms"),
        (16.23, "x", "16.2×"),
        (1e9, "vectors", f"1{GAP}G{GAP}vectors"),
        (1_234_567, "$/month", f"$1.23{GAP}M/month"),
        (73.72, "bytes/vector", f"73.7{GAP}B/vector"),
        (None, "ms", "n/a"),
        (1, "hours", f"1{GAP}hour"),
        (2, "hours", f"2{GAP}hours"),
        (1, "% of clicks", f"1{GAP}% of clicks"),
        (9.6, "$", "$9.60"),
        (12.5, "$/h", "$12.50/h"),
        (12, "$", "$12"),
    ],
)
def test_units_as_engineers_write_them(value: float | None, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_a_difference_always_has_its_sign() -> None:
    assert signed(0.01) == "+0.01" and signed(0.5, "$/month") == "+$0.5/month"
    assert signed(-3, "ms") == f"{MINUS}3{GAP}ms" and signed(0) == "±0"


def metric(key: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {
        "key": key,
        "label": key,
        "value": value,
        "unit": "",
        "better": None,
        "ci": None,
        "measured": False,
        "note": "",
        "series": "",
        **more,
    }


def test_designs_become_columns_and_the_best_of_a_row_is_known() -> None:
    found = comparison(
        tiles(
            [
                metric("exact", 1.0),
                metric("recall@a", 0.9, series="A", better="up"),
                metric("cost@a", 3.0, series="A", better="down"),
                metric("recall@b", 0.8, series="B", better="up"),
                metric("only@b", None, series="B", note="not built"),
            ],
            None,
        )
    )
    assert [tile.metric["key"] for tile in found.loose] == ["exact"]
    assert found.columns == ["A", "B"]
    recall, cost, only = found.rows
    assert recall.best == 0.9 and [cell.metric["value"] for cell in recall.cells if cell] == [0.9, 0.8]
    assert cost.best is None and cost.cells[1] is None, "one value alone is not the best"
    assert only.best is None and only.cells[0] is None


def test_equal_values_have_no_best() -> None:
    same = comparison(tiles([metric("r@a", 1.0, series="A", better="up"), metric("r@b", 1.0, series="B", better="up")], None))
    assert same.rows[0].best is None
