"""Numbers with units: what is read, what is refused and with which words, how fast, and how an answer is graded."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlsd_app.runs.templatetags.quantities import quantity as shown
from simulators.unit_table import ATOMS, WORDS
from simulators.units import (
    FLEET_MARGIN,
    MAX_LENGTH,
    Quantity,
    Rule,
    UnitError,
    behind,
    comparable,
    grade_quantity,
    parse_quantity,
    parse_unit,
    quantity_of,
)

THIN, NARROW, NO_BREAK = "\u2009", "\u202f", "\u00a0"
ACCEPTED: list[tuple[str, str | None, float, str]] = [  # typed, expected, base value, dimension
    ("80 GB", None, 80e9, "information"),
    ("80GB", None, 80e9, "information"),
    ("85.9 GB", None, 85.9e9, "information"),
    (".5 TB", None, 0.5e12, "information"),
    ("80 GiB", None, 80 * 2**30, "information"),
    ("3 PiB", None, 3 * 2**50, "information"),
    ("80 KB", None, 80e3, "information"),
    ("80 KiB", None, 80 * 1024, "information"),
    ("2B", "GB", 2, "information"),
    ("2 B", "information", 2, "information"),
    ("512 bytes", None, 512, "information"),
    ("1 byte", None, 1, "information"),
    ("10 Gbit", None, 1.25e9, "information"),
    ("10 Gbit/s", None, 1.25e9, "information/time"),
    ("8 bits", None, 1, "information"),
    ("4 B/vector", None, 4, "information/vector"),
    ("4 bytes per vector", None, 4, "information/vector"),
    ("3.35 TB/s", None, 3.35e12, "information/time"),
    ("1,000,000 users", None, 1e6, "user"),
    (f"1{THIN}000{THIN}000 users", None, 1e6, "user"),
    (f"12{NARROW}345{NO_BREAK}items", None, 12345, "item"),
    ("8.59e10 B", "B", 8.59e10, "information"),
    ("8.59*10^10 bytes", None, 8.59e10, "information"),
    ("8.59×10^10 bytes", None, 8.59e10, "information"),
    ("3 x 10^5 requests", None, 3e5, "request"),
    ("10^9 vectors", None, 1e9, "vector"),
    ("1e-3 s", None, 1e-3, "time"),
    ("~13.9 requests/s", None, 13.9, "request/time"),
    ("≈ 13.9 req/s", None, 13.9, "request/time"),
    ("13.9k qps", None, 13900, "request/time"),
    ("1,200,000 req/day", None, 1.2e6 / 86400, "request/time"),
    ("500 rps", None, 500, "request/time"),
    ("20 calls per second", None, 20, "request/time"),
    ("500/s", None, 500, "1/time"),
    ("30 Hz", None, 30, "1/time"),
    ("2B users", None, 2e9, "user"),
    ("2 billion users", None, 2e9, "user"),
    ("2bn people", None, 2e9, "person"),
    ("100M items", None, 1e8, "item"),
    ("15 trillion tokens", None, 15e12, "token"),
    ("15T tokens", None, 15e12, "token"),
    ("70B parameters", None, 70e9, "parameter"),
    ("5k Docs", None, 5000, "document"),
    ("8 GPUs", None, 8, "gpu"),
    ("8 gpu", None, 8, "gpu"),
    ("500 GPU-hours", None, 500 * 3600, "gpu*time"),
    ("12 GPU days", None, 12 * 86400, "gpu*time"),
    ("5 ms", None, 5e-3, "time"),
    ("5 µs", None, 5e-6, "time"),
    ("5 μs", None, 5e-6, "time"),
    ("3 weeks", None, 3 * 604800, "time"),
    ("2 months", None, 60 * 86400, "time"),
    ("$3.50", None, 3.5, "money"),
    ("$2B", None, 2e9, "money"),
    ("$1.2M/day", None, 1.2e6 / 86400, "money/time"),
    ("$ 5 / 1M tokens", None, 5e-6, "money/token"),
    ("120 USD", None, 120, "money"),
    ("-$4", None, -4, "money"),
    ("312 TFLOPS", None, 312e12, "compute/time"),
    ("312 TFLOP/s", None, 312e12, "compute/time"),
    ("6 PFLOP", None, 6e15, "compute"),
    ("42 %", None, 0.42, "ratio"),
    ("-3 pp", None, -0.03, "ratio"),
    ("2.5x", None, 2.5, "ratio"),
    ("2.5×", None, 2.5, "ratio"),
    ("0.42", "share", 0.42, "ratio"),
    ("42", "ratio", 42, "ratio"),
    ("25 m/s", None, 25, "length/time"),
    ("3 % of clicks", None, 0.03, "ratio"),
    ("4 million hours", None, 4e6 * 3600, "time"),
]
REFUSED: list[tuple[str, str | None, str, str]] = [  # typed, expected, code, a part of the message
    ("85,9 GB", None, "comma", "Use a point for decimals."),
    ("1.000,5 GB", None, "comma", "point"),
    ("1,00 users", None, "comma", "point"),
    ("1 000 GB", None, "spaced", "Write 1000 or 1,000."),
    (f"1{NO_BREAK}000 GB", None, "spaced", "Write 1000 or 1,000."),
    ("80 G", None, "trap", "Write GB or GiB."),
    ("80 Gb", None, "trap", "Gb reads as gigabit; write GB or Gbit."),
    ("80 Gb/s", None, "trap", "gigabit"),
    ("80 mb", None, "trap", "Write MB."),
    ("80 gb", None, "trap", "Write GB."),
    ("80 M", None, "trap", "MB"),
    ("80 k", None, "trap", "kB"),
    ("80", None, "no_unit", "Give a unit."),
    ("80", "GB", "no_unit", "Give a unit."),
    ("80", "%", "percent_or_share", "Write % or x"),
    ("80 billion", None, "no_unit", "billion of what?"),
    ("9**9**9 B", None, "not_a_number", "Not a number we read."),
    ("9**9**9", "GB", "not_a_number", "Not a number we read."),
    ("٣ GB", None, "not_a_number", "Not a number we read."),
    ("３ GB", None, "not_a_number", "Not a number we read."),
    ("eighty GB", None, "not_a_number", "Not a number we read."),
    ("nan GB", None, "not_a_number", "Not a number"),
    ("inf GB", None, "not_a_number", "Not a number"),
    ("0x10 GB", None, "not_a_number", "Not a number"),
    ("1_000 GB", None, "not_a_number", "Not a number"),
    ("1/2 GB", None, "not_a_number", "Not a number"),
    ("(80) GB", None, "not_a_number", "Not a number"),
    ("2+2 GB", None, "not_a_number", "Not a number"),
    ("1.000.000 GB", None, "not_a_number", "Not a number"),
    ("8.59 x 1010 GB", None, "not_a_number", "Not a number"),
    ("1e31 B", "B", "exponent", "30"),
    ("1e999 GB", None, "exponent", "30"),
    ("2B", None, "bytes_or_billion", "2 bytes or 2 billion? Write the unit."),
    ("2B", "users", "bytes_or_billion", "2 bytes or 2 billion?"),
    ("5-10 GB", None, "range", "one number"),
    ("5 to 10 GB", None, "range", "one number"),
    ("80 ± 5 GB", None, "range", "one number"),
    ("-5 GB", None, "negative", "no negative GB"),
    ("-5 users", None, "negative", "no negative users"),
    ("80 GB/s/day", None, "two_divisions", "one division"),
    ("80 furlongs", None, "unknown_unit", "furlongs"),
    ("80 flops", None, "trap", "FLOPS for operations a second"),
    ("2M GB", None, "multiplier", "counted"),
    ("80 MS", None, "trap", "Write ms."),
    ("", None, "empty", "Give a number"),
    ("  ~ ", None, "empty", "Give a number"),
    ("8" * 65, None, "too_long", "64"),
]


def test_the_tables_are_large_enough() -> None:
    assert len(ACCEPTED) >= 60 and len(REFUSED) >= 40


@pytest.mark.parametrize(("text", "expect", "base", "dimension"), ACCEPTED)
def test_accepted(text: str, expect: str | None, base: float, dimension: str) -> None:
    quantity = parse_quantity(text, expect)
    assert quantity.base == pytest.approx(base, rel=1e-12)
    assert quantity.dimension == dimension


@pytest.mark.parametrize(("text", "expect", "code", "part"), REFUSED)
def test_refused_with_what_to_write_instead(text: str, expect: str | None, code: str, part: str) -> None:
    with pytest.raises(UnitError) as refusal:
        parse_quantity(text, expect)
    assert (refusal.value.code, part in refusal.value.message) == (code, True), refusal.value.message
    assert 0 <= refusal.value.position <= len(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [("85,9 GB", 2), ("80 Gb", 3), ("80", 2), ("9**9 B", 1), ("  eighty GB", 2), ("80 GB/s/day", 7), ("80 GB/furlong", 6), ("2 M Gb", 4)],
)
def test_a_refusal_points_at_the_place(text: str, position: int) -> None:
    with pytest.raises(UnitError) as refusal:
        parse_quantity(text)
    assert refusal.value.position == position


def test_the_echo_says_how_it_was_read() -> None:
    assert parse_quantity("1200000 req/day").text == "1,200,000 requests/day"
    assert parse_quantity("2B users").text == "2,000,000,000 users"
    assert parse_quantity("$1.5M/day").text == "$1,500,000/day"
    assert parse_quantity("500 per second").text == "500/s"
    assert parse_quantity("80 KB").note == "KB is read as kB, 1000 bytes."
    assert "30 days" in str(parse_quantity("2 months").note) and "365 days" in str(parse_quantity("5 TB/year").note)


# --- whatever is typed -----------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["80", "85,9", "1,000", ".5", "1e9", "9**9**9", " ", "/", "-", "~", "$", "%", "x", "×10^", "^", "(", ")", ",", ".", "e", "k", "M", "B"]
    + ["GB", "Gb", "GiB", "users", "qps", "per", "a", "million", "ms", "GPU-hours", THIN, NO_BREAK, "٣", "²", "µ", "\x00", "\n", "\u202e"]
)
TYPED = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=9).map(" ".join))


@settings(max_examples=1500, deadline=None)
@given(TYPED, st.sampled_from([None, "GB", "%", "ratio", "users", "no such unit"]))
@example("9" * 64, "GB")
@example("1" + ",000" * 15, "GB")
@example("1e30" + "x" * 60, None)
def test_nothing_but_a_quantity_or_a_refusal(text: str, expect: str | None) -> None:
    try:
        quantity = parse_quantity(text, expect)
    except UnitError as refusal:
        assert refusal.message and 0 <= refusal.position <= max(len(text), MAX_LENGTH)
        return
    assert math.isfinite(quantity.base) and math.isfinite(quantity.value)
    assert len(text) <= MAX_LENGTH


def test_no_text_takes_long() -> None:
    """Strings made to hang a reader; the best of three readings, so that the machine's own pauses do not count."""
    nasty = [
        "9" * 64,
        "1" + ",000" * 15,
        "9**9**9**9",
        "$" * 64,
        "1e" * 32,
        " " * 63 + "x",
        "1 " + "a" * 62,
        "1 " + "a " * 31,
        "1 " + "/" * 62,
    ]
    nasty += ["1 % " + "of " * 20, "1 " + "-" * 62, "1 k" + " k" * 30, "1 GPU" + "-h" * 29, "1" + "×10^" * 15, "1 per " + "1,000" * 11]
    taken = []
    for text in nasty:
        taken.append(min(_seconds(text) for _ in range(3)))
    assert max(taken) <= 0.020
    assert sorted(taken)[len(taken) // 2] <= 0.001


def _seconds(text: str) -> float:
    started = time.perf_counter()
    with suppress(UnitError):
        parse_quantity(text)
    return time.perf_counter() - started


# --- what the site prints can be typed back --------------------------------------------------------------------------

SHOWN_UNITS = [
    "GB",
    "B",
    "ms",
    "s",
    "us",
    "%",
    "pp",
    "x",
    "users",
    "requests/s",
    "$",
    "$/month",
    "$/M tokens",
    "GPU-h",
    "tokens/s",
    "share",
]
VALUES = st.floats(1e-3, 9e13, allow_nan=False)


@given(VALUES, st.sampled_from(SHOWN_UNITS))
def test_the_echo_can_be_typed_back(value: float, unit: str) -> None:
    quantity = quantity_of(value, unit)
    again = parse_quantity(quantity.text, unit)
    assert (again.unit, again.dimension) == (quantity.unit, quantity.dimension)
    assert again.base == pytest.approx(quantity.base, rel=1e-5)


@given(VALUES, st.sampled_from(SHOWN_UNITS))
def test_what_a_page_shows_can_be_typed_back(value: float, unit: str) -> None:
    """The three significant digits of a metric tile, thin spaces, prefixes and all."""
    value = min(value, 99_000) if parse_unit(unit).dimension == "ratio" else value  # no page shows 120 k %
    quantity = quantity_of(value, unit)
    again = parse_quantity(shown(value, unit), "ratio" if unit == "share" else unit)
    assert again.dimension == quantity.dimension
    assert again.base == pytest.approx(quantity.base, rel=6e-3)


@pytest.mark.parametrize("name", sorted({*ATOMS, *WORDS}))
def test_every_unit_of_the_table_is_read_the_same_from_its_own_text(name: str) -> None:
    unit = parse_unit(name)
    assert (parse_unit(unit.text).dimension, parse_unit(unit.text).factor) == (unit.dimension, unit.factor)


# --- dimensions ------------------------------------------------------------------------------------------------------


def test_dimensions_cancel_and_multiply() -> None:
    assert parse_unit("s/s").dimension == "ratio"
    assert parse_unit("h/min").factor == 60
    assert parse_unit("GB/s").dimension == "information/time"
    assert parse_unit("qps").dimension == parse_unit("queries/s").dimension == "request/time"
    assert parse_unit("$ / GPU-h").dimension == "money/gpu*time"
    assert parse_unit("users").dimension != parse_unit("tokens").dimension


def test_each_counted_thing_is_compared_with_itself_only() -> None:
    assert comparable("user", "user") and not comparable("user", "token")
    assert comparable("person", "reviewer") and not comparable("user", "reviewer")
    assert comparable("1/time", "request/time") and not comparable("1/time", "information/time") and not comparable("1/time", "request")


# --- grading ---------------------------------------------------------------------------------------------------------

ESTIMATE, DERIVED, EXACT = Rule("estimate"), Rule("derived"), Rule("exact")


def mark(given: str, truth: str, rule: Rule = ESTIMATE) -> float:
    return grade_quantity(parse_quantity(given, truth.partition(" ")[2]), parse_quantity(truth, truth.partition(" ")[2]), rule).mark


@pytest.mark.parametrize(
    ("ratio", "rule", "expected"),
    [
        (2, ESTIMATE, 1), (0.5, ESTIMATE, 1), (2.0001, ESTIMATE, 0.5), (0.4999, ESTIMATE, 0.5), (10, ESTIMATE, 0.5), (0.1, ESTIMATE, 0.5),
        (10.001, ESTIMATE, 0), (0.09999, ESTIMATE, 0), (1.01, DERIVED, 1), (0.99, DERIVED, 1), (1.0101, DERIVED, 0.5), (1.05, DERIVED, 0.5),
        (0.95, DERIVED, 0.5), (1.0501, DERIVED, 0), (2, DERIVED, 0), (1, EXACT, 1), (1.001, EXACT, 0), (0.999, EXACT, 0),
    ],
)  # fmt: skip
def test_bounds_of_the_rules(ratio: float, rule: Rule, expected: float) -> None:
    for truth in (7.0, 3e9, 1.3e-4):
        assert grade_quantity(quantity_of(ratio * truth, "ms"), quantity_of(truth, "ms"), rule).mark == expected


@given(st.floats(1e-6, 1e12), st.floats(1e-3, 1e3), st.sampled_from(["GPUs", "ms", "$", "tokens/s"]))
def test_an_estimate_is_judged_by_its_ratio_alone(truth: float, ratio: float, unit: str) -> None:
    """The rule table, written out a second time; the scale changes nothing, too high and too low weigh the same."""
    off = max(ratio, 1 / ratio)
    expected = 1.0 if off < 2 * (1 - 1e-6) else 0.5 if 2 * (1 + 1e-6) < off < 10 * (1 - 1e-6) else 0.0 if off > 10 * (1 + 1e-6) else None
    high = grade_quantity(quantity_of(truth * ratio, unit), quantity_of(truth, unit), ESTIMATE)
    low = grade_quantity(quantity_of(truth / ratio, unit), quantity_of(truth, unit), ESTIMATE)
    if expected is not None:
        assert high.mark == low.mark == expected
    assert high.ratio == pytest.approx(ratio)


def test_the_message_names_the_ratio() -> None:
    assert "4.2x too high" in grade_quantity(quantity_of(42, "ms"), quantity_of(10, "ms"), ESTIMATE).message
    assert "2.5x too low" in grade_quantity(quantity_of(4, "ms"), quantity_of(10, "ms"), ESTIMATE).message
    assert "Exactly" in grade_quantity(quantity_of(10, "ms"), quantity_of(10, "ms"), ESTIMATE).message
    assert "3.0 % too low" in grade_quantity(quantity_of(9.7, "ms"), quantity_of(10, "ms"), DERIVED).message


def test_the_unit_it_is_written_in_does_not_matter() -> None:
    assert mark("1.024 TB", "1024 GB", EXACT) == 1
    assert mark("43200 req/day", "0.5 requests/s", EXACT) == 1
    assert mark("50 %", "0.5 share", EXACT) == 1


def test_gigabytes_and_gibibytes_are_taken_for_each_other_unless_told_apart() -> None:
    gib = parse_quantity("80 GiB")
    for typed in ("80 GB", "85.9 GB", "80 GiB"):
        assert grade_quantity(parse_quantity(typed), gib, DERIVED).mark == 1
    reading = grade_quantity(parse_quantity("80 GB"), gib, DERIVED)
    assert "Read as GiB." in reading.message and reading.ratio == pytest.approx(1)
    assert "Read as GB." in grade_quantity(parse_quantity("80 GiB"), parse_quantity("80 GB"), DERIVED).message
    assert "Read as" not in grade_quantity(parse_quantity("85.9 GB"), gib, DERIVED).message
    strict = Rule("derived", binary_strict=True)
    assert grade_quantity(parse_quantity("80 GB"), gib, strict).mark == 0
    assert grade_quantity(parse_quantity("80 GiB"), parse_quantity("80 GB"), strict).mark == 0
    assert grade_quantity(parse_quantity("85.9 GB"), gib, strict).mark == 1


def test_another_dimension_earns_a_quarter_at_most() -> None:
    right_size = grade_quantity(parse_quantity("50 ms"), parse_quantity("48 GB"), ESTIMATE)
    assert (right_size.mark, right_size.code) == (0.25, "unit") and "Right size, wrong unit" in right_size.message
    assert mark("5000 ms", "48 GB") == 0
    assert mark("50 GB/s", "48 GB") == 0.25


def test_zero_and_signs() -> None:
    assert grade_quantity(quantity_of(0, "%"), quantity_of(0, "%"), ESTIMATE).mark == 1
    assert grade_quantity(quantity_of(1, "%"), quantity_of(0, "%"), ESTIMATE).mark == 0
    assert grade_quantity(quantity_of(0, "%"), quantity_of(1, "%"), ESTIMATE).mark == 0
    assert grade_quantity(quantity_of(-1.5, "%"), quantity_of(-1, "%"), ESTIMATE).mark == 1
    assert grade_quantity(quantity_of(1, "%"), quantity_of(-1, "%"), ESTIMATE).code == "sign"


@pytest.mark.parametrize(("fleet", "truth"), [("floor", 30.0), ("sized", 30.0 * FLEET_MARGIN)])
def test_a_fleet_may_be_the_floor_or_sized_for_the_peak(fleet: str, truth: float) -> None:
    rule = Rule("derived", fleet=fleet)  # type: ignore[arg-type]
    floor = grade_quantity(quantity_of(30, "GPUs"), quantity_of(truth, "GPUs"), rule)
    sized = grade_quantity(quantity_of(100, "GPUs"), quantity_of(truth, "GPUs"), rule)
    assert floor.mark == sized.mark == 1
    assert "floor" in floor.message and "peak" in sized.message
    assert grade_quantity(quantity_of(100, "GPUs"), quantity_of(30, "GPUs"), DERIVED).mark == 0


def test_marks_agree_with_the_rule_table_on_a_grid() -> None:
    """200 pairs of truth and answer, judged by the words of the rules."""
    checked = 0
    for rule, full, half in ((ESTIMATE, 2, 10), (DERIVED, 0.01, 0.05)):
        for step in range(1, 101):
            ratio = 1.07**step / 20 if rule is ESTIMATE else 0.9 + 0.002 * step + 0.0003
            off = max(ratio, 1 / ratio) if rule is ESTIMATE else abs(ratio - 1)
            expected = 1.0 if off <= full else 0.5 if off <= half else 0.0
            assert grade_quantity(quantity_of(ratio * 640, "GB"), quantity_of(640, "GB"), Rule(rule.kind, True)).mark == expected, ratio
            checked += 1
    assert checked == 200


def test_a_quantity_is_what_was_typed() -> None:
    assert parse_quantity("13.9 requests/s") == Quantity(13.9, "requests/s", "request/time", 13.9, None)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("1 users", "1 user"),
        ("2 users", "2 users"),
        ("1 queries/s", "1 query/s"),
        ("1 people", "1 person"),
        ("1 GPUs", "1 GPU"),
        ("1 bits", "1 bit"),
        ("1 ms", "1 ms"),
        ("1.5 days", "1.5 days"),
        ("$9.6", "$9.60"),
        ("$12345.67/day", "$12,345.67/day"),
        ("$9", "$9"),
        ("$0.0042", "$0.0042"),
        ("-$0.5/1M tokens", "-$0.50/1,000,000 tokens"),
    ],
)
def test_a_quantity_is_told_as_one_says_it(typed: str, told: str) -> None:
    read = parse_quantity(typed)
    assert read.text == told
    assert parse_quantity(told).base == pytest.approx(read.base)


def test_every_plural_of_the_table_has_its_singular() -> None:
    for many in {atom.many for atom in WORDS.values()} - {atom.one for atom in WORDS.values()}:
        one, unit = behind("1", many), parse_unit(many)
        assert one != many
        assert (parse_unit(one).dimension, parse_unit(one).factor) == (unit.dimension, unit.factor), many
    assert parse_unit("epochs").dimension == parse_unit("epoch").dimension
