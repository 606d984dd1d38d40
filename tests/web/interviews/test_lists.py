"""A row is what its list says, always the same JSON, and refused with a sentence about every bad field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.interviews.kinds import COMPONENT_KINDS, SAME_KIND, kind_of
from mlsd_app.interviews.lists import (
    LISTS,
    MAX_ROW_BYTES,
    Column,
    InvalidRow,
    RowList,
    TooLarge,
    canonical,
    lists_of_phase,
    row_parse,
    row_values,
)
from mlsd_app.interviews.presets import PRESETS, TAGS, preset_phases
from problems.loader import all_problems

WORDS = {"text": "x" * 200, "words": "y" * 300, "number": 12.5, "whole": 3, "flag": True, "kind": "ranker", "row": "c1"}


def filled(found: RowList) -> dict[str, Any]:
    return {column.name: filled_cell(column) for column in found.columns}


def filled_cell(column: Column) -> Any:
    return column.choices[-1] if column.kind == "choice" else WORDS[column.kind]


@pytest.mark.parametrize("found", LISTS.values(), ids=LISTS.keys())
def test_a_row_survives_being_kept(found: RowList) -> None:
    values = {**filled(found), "order": 1.5}
    kept = canonical(row_parse(found.key, values))
    assert row_values(found.key, kept) == values
    assert canonical(row_parse(found.key, kept)) == kept == canonical(row_parse(found.key, json.dumps(values, indent=3)))


@pytest.mark.parametrize("found", LISTS.values(), ids=LISTS.keys())
def test_an_empty_row_and_a_foreign_field(found: RowList) -> None:
    assert set(row_values(found.key, canonical(row_parse(found.key, {})))) == {column.name for column in found.columns} | {"order"}
    with pytest.raises(InvalidRow) as refused:
        row_parse(found.key, {"colour": "red", "order": "first"})
    assert set(refused.value.errors) == {"colour", "order"}


@pytest.mark.parametrize("found", LISTS.values(), ids=LISTS.keys())
def test_each_column_refuses_what_is_not_of_its_kind(found: RowList) -> None:
    for column in found.columns:
        bad = {"choice": "no such", "kind": "no such", "row": "a b", "number": "many", "whole": 1.5, "flag": "perhaps"}
        with pytest.raises(InvalidRow) as refused:
            row_parse(found.key, {column.name: bad.get(column.kind, "z" * 5000)})
        assert list(refused.value.errors) == [column.name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1200", 1200),
        ("1,200", 1200),
        ("1 200.5", 1200.5),
        ("2.5M", 2.5e6),
        ("3k", 3000),
        ("1e6", 1e6),
        ("-4", -4),
        (".5", 0.5),
        ("7 B", 7e9),
        ("", None),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float | None) -> None:
    assert row_values("numbers", canonical(row_parse("numbers", {"value": text})))["value"] == value


@pytest.mark.parametrize("text", ["many", "1.2.3", "NaN", "inf", "1e999", "2.5 MB", "--1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(InvalidRow):
        row_parse("numbers", {"value": text})


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_is_sent_is_a_row_or_refused_in_words(sent: Any) -> None:
    for content in (json.dumps(sent), str(sent), json.dumps({"name": sent, "value": sent, "order": sent})):
        try:
            assert canonical(row_parse("numbers", content)).encode()
        except (InvalidRow, TooLarge) as refused:
            assert refused.message.endswith(".")


def test_a_row_has_a_largest_size() -> None:
    row = {"request": "\u4e00" * 1000, "response": "\u4e00" * 400}
    with pytest.raises(TooLarge, match=f"{MAX_ROW_BYTES:,}"):
        row_parse("api", row)


def test_every_list_stands_in_some_phase_of_every_pacing() -> None:
    assert {tag for found in LISTS.values() for tag in found.tags} <= set(TAGS)
    for preset in PRESETS:
        assert {found.key for phase in preset_phases(preset) for found in lists_of_phase(phase)} == set(LISTS)


def test_rubrics_name_components_of_the_vocabulary() -> None:
    for problem in all_problems():
        for item in problem.rubric.items if problem.rubric else ():
            if item.grade == "component":
                assert {kind_of(kind) for kind in item.needs} <= set(COMPONENT_KINDS), (problem.slug, item.id)


def test_other_names_lead_to_the_vocabulary_in_one_step() -> None:
    assert set(SAME_KIND.values()) <= set(COMPONENT_KINDS) and not set(SAME_KIND) & set(COMPONENT_KINDS)
    assert row_values("components", canonical(row_parse("components", {"kind": "vector_index"})))["kind"] == "ann_index"
