"""Parameters to controls and back, for made-up fields of every kind and for every lab there is."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import pytest
from annotated_types import Ge, Le
from django.http import QueryDict
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.runs.forms import RESERVED, Control, Field, LabForm, fields_of, params_from_query, query_of, unknown_keys
from mlsd_app.runs.sliders import linear_step, log_stops, nearest, slider_for
from simulators.lab import Lab, LabParams, Percent, Preset, param
from simulators.params import InvalidParams, parse_params
from simulators.registry import labs


class EveryKind(Lab):
    """Which control shows which type?"""

    title, problem, slug = "Every kind", "made_up", "every_kind"

    class Params(LabParams):
        kinds: tuple[Literal["flat", "hnsw", "ivf"], ...] = param(("hnsw",), title="Index", help="h", max_items=2, group="index")
        order: Literal["fifo", "lifo"] = param("fifo", title="Order", help="h", labels={"fifo": "First in, first out"})
        level: Literal[1, 2, 3, 4, 5] = param(2, title="Level", help="h")
        ef: int = param(64, title="efSearch", help="h", unit="candidates", ge=8, le=4096, soft=(10, 1024), scale="log", group="index",
                        shown_when={"kinds": ["hnsw"]})  # fmt: skip
        share: float = param(0.05, title="Share", help="h", unit="share", ge=0, le=1)
        size: int = param(10**9, title="Size", help="h", unit="vectors", ge=1, le=10**11, scale="log")
        refine: bool = param(True, title="Refine", help="h")
        rule: str = param("a > 1", title="Rule", help="h")
        body: str = param("a: 1\nb:\n  c: 2", title="Body", help="h", max_items=200, lines=6)
        steps: tuple[Annotated[int, Ge(-(10**6)), Le(10**6)], ...] = param((1, 10, 100), title="Steps", help="h", unit="s", max_items=5)
        ramp: tuple[Percent, ...] = param((10.0, 50.0), title="Ramp", help="h", unit="%", max_items=60)
        cap: float | None = param(None, title="Cap", help="h", ge=0.5, le=9)

    presets = (Preset("wide", "Wide", "s", {"ef": 512, "kinds": ("flat", "hnsw")}),)


ALL_FIELDS = [pytest.param(lab, field, id=f"{key[0]}/{key[1]}.{field.name}") for key, lab in labs().items() for field in fields_of(lab)]
MADE_UP = [pytest.param(EveryKind, field, id=field.name) for field in fields_of(EveryKind)]


def control(lab: type[Lab], name: str, values: dict[str, Any] | None = None) -> Control:
    return next(item for item in LabForm(lab, values).controls if item.name == name)


def through_the_browser(lab: type[Lab], values: dict[str, Any]) -> dict[str, Any]:
    """What `parse_params` makes of the values after they have been sent as a form: hidden blanks and switches included."""
    pairs = [(field.name, text) for field in fields_of(lab) for text in [*hidden_inputs(field), *field.texts(values[field.name])]]
    return parse_params(lab, params_from_query(lab, QueryDict(urlencode(pairs)))).model_dump()


def hidden_inputs(field: Field) -> list[str]:
    return {"chips": [""], "switch": ["false"]}.get(field.kind, [])


# --- controls ----------------------------------------------------------------------------------------------------------


def test_each_type_has_its_control() -> None:
    kinds = {field.name: field.kind for field in fields_of(EveryKind)}
    assert kinds == {
        "kinds": "chips", "order": "segmented", "level": "select", "ef": "number", "share": "number", "size": "number",
        "refine": "switch", "rule": "text", "body": "text", "steps": "numbers", "ramp": "numbers", "cap": "number",
    }  # fmt: skip


def test_a_text_of_several_lines_has_a_box_and_keeps_its_lines() -> None:
    shown = control(EveryKind, "body", {"body": "first <b>\n  second"})
    html = render_to_string(shown.template, {"control": shown})
    assert "<textarea" in html and 'rows="6"' in html and 'maxlength="200"' in html
    assert "first &lt;b&gt;\n  second</textarea>" in html
    sent = QueryDict(urlencode({"body": "first\r\n  second\r\n"}))  # as a browser sends a form
    assert params_from_query(EveryKind, sent)["body"] == "first\n  second"
    assert "<textarea" not in render_to_string(control(EveryKind, "rule").template, {"control": control(EveryKind, "rule")})


def test_a_type_without_a_control_says_so() -> None:
    class Params(LabParams):
        table: dict[str, int] = param({}, title="t", help="h")

    with pytest.raises(TypeError, match="no control shows"):
        _ = Field("table", Params.model_fields["table"]).kind


def test_a_number_without_hard_bounds_says_so() -> None:
    class Params(LabParams):
        size: int = param(1, title="t", help="h", ge=0)

    with pytest.raises(TypeError, match="hard bounds"):
        _ = Field("size", Params.model_fields["size"]).hard


@pytest.mark.parametrize(("lab", "field"), [*MADE_UP, *ALL_FIELDS])
def test_every_field_has_a_control_that_can_be_used(lab: type[Lab], field: Field) -> None:
    shown = control(lab, field.name)
    assert shown.title and shown.help, "a control needs a title and a help text"
    assert field.name not in RESERVED, "the page uses this name itself"
    if shown.kind == "number":
        assert_slider_is_usable(shown)
    if shown.kind in ("chips", "segmented", "select"):
        assert {choice.value for choice in shown.choices if choice.chosen} == set(shown.default) - {""}
    for name, wanted in shown.shown_when.items():
        known = {other.name: {choice.value for choice in control(lab, other.name).choices} for other in fields_of(lab)}
        assert name in known, f"shown_when names {name}, which is no field"
        assert not known[name] or set(wanted) <= known[name], "shown_when waits for a choice that cannot be made"


def assert_slider_is_usable(shown: Control) -> None:
    slider = shown.slider
    low, high = float(slider.low), float(slider.high)
    assert float(slider.hard_low) <= shown.range[0] < shown.range[1] <= float(slider.hard_high)
    assert low <= float(slider.position) <= high and low < high
    assert (high - low) / float(slider.step) >= 4 or shown.field.type is int, "a slider with fewer than five stops is no slider"


@pytest.mark.parametrize("lab", [EveryKind, *labs().values()])
def test_the_rendered_form_holds_every_field_and_names_it_for_screen_readers(lab: type[Lab]) -> None:
    for item in LabForm(lab, errors={field.name: "wrong <b>" for field in fields_of(lab)}).controls:
        html = render_to_string("runs/controls/_field.html", {"control": item})
        assert f'name="{item.name}"' in html
        assert f'for="{item.id}"' in html or f'aria-labelledby="{item.id}-label"' in html
        assert f'aria-describedby="{item.id}-error"' in html
        assert "wrong &lt;b&gt;" in html and "wrong <b>" not in html


def test_the_help_says_what_may_be_typed() -> None:
    said = {item.name: item.allowed for item in LabForm(EveryKind).controls if item.allowed}
    assert said == {
        "ef": "From 8 to 4096 candidates",
        "share": "From 0 to 1 share",
        "size": "From 1 to 1e11 vectors",
        "steps": "Up to 5 numbers from -1000000 to 1000000 s, separated by commas",
        "ramp": "Up to 60 numbers from 0 to 100 %, separated by commas",
        "cap": "From 0.5 to 9",
    }


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("10, 120", "Ramp: 120.0 was given; expected 100 or less %."),
        ("10; 50", "Ramp: '10; 50' was given; expected a valid number"),
        (",".join(["50"] * 61), "expected at most 60 values."),
    ],
)
def test_a_list_is_refused_by_the_number_that_is_wrong(typed: str, sentence: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        parse_params(EveryKind, params_from_query(EveryKind, QueryDict(urlencode({"ramp": typed}))))
    assert sentence in caught.value.errors["ramp"]


def test_a_field_is_hidden_until_its_condition_holds() -> None:
    assert not control(EveryKind, "ef").hidden
    assert control(EveryKind, "ef", {"kinds": ("ivf",)}).hidden
    assert not control(EveryKind, "ef", {"kinds": ("ivf", "hnsw")}).hidden


def test_groups_keep_the_order_of_declaration() -> None:
    assert [(group.title, [item.name for item in group.controls]) for group in LabForm(EveryKind).groups][0] == ("Index", ["kinds", "ef"])


# --- from the browser and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lab", [EveryKind, *labs().values()])
def test_defaults_survive_the_browser(lab: type[Lab]) -> None:
    defaults = lab.Params().model_dump()
    assert through_the_browser(lab, defaults) == defaults
    assert query_of(lab, defaults) == ""


@pytest.mark.parametrize("lab", [EveryKind, *labs().values()])
def test_presets_survive_the_address(lab: type[Lab]) -> None:
    for preset in lab.presets:
        wanted = parse_params(lab, preset.values)
        by_name = params_from_query(lab, QueryDict(urlencode({"preset": preset.key})))
        by_value = params_from_query(lab, QueryDict(query_of(lab, preset.values)))
        assert parse_params(lab, by_name) == parse_params(lab, by_value) == wanted


values_of_every_kind = st.fixed_dictionaries(
    {
        "kinds": st.lists(st.sampled_from(["flat", "hnsw", "ivf"]), max_size=2, unique=True).map(tuple),
        "order": st.sampled_from(["fifo", "lifo"]),
        "level": st.integers(1, 5),
        "ef": st.integers(8, 4096),
        "share": st.floats(0, 1),
        "size": st.integers(1, 10**11),
        "refine": st.booleans(),
        "rule": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), max_size=30),
        "body": st.lists(st.text("abc :{}", min_size=1).map(str.rstrip), max_size=5).map("\n".join).map(str.strip),
        "steps": st.lists(st.integers(-(10**6), 10**6), max_size=5).map(tuple),
        "ramp": st.lists(st.floats(0, 100), max_size=60).map(tuple),
        "cap": st.none() | st.floats(0.5, 9),
    }
)


@given(values_of_every_kind)
def test_any_valid_values_survive_the_browser_and_the_address(values: dict[str, Any]) -> None:
    assert through_the_browser(EveryKind, values) == values
    address = QueryDict(query_of(EveryKind, values))
    assert parse_params(EveryKind, params_from_query(EveryKind, address)).model_dump() == values


@given(st.dictionaries(st.sampled_from(list(EveryKind.Params.model_fields)), st.lists(st.text(max_size=12), min_size=1, max_size=3)))
def test_whatever_is_sent_either_parses_or_gets_sentences_and_the_form_still_renders(sent: dict[str, list[str]]) -> None:
    query = QueryDict(urlencode([(name, text) for name, texts in sent.items() for text in texts]))
    values, errors = params_from_query(EveryKind, query), {}
    try:
        parse_params(EveryKind, values)
    except InvalidParams as error:
        errors = error.errors
        assert set(errors) <= set(sent) and all(sentence for sentence in errors.values())
    form = LabForm(EveryKind, values, errors)
    html = "".join(render_to_string("runs/controls/_field.html", {"control": item}) for item in form.controls)
    assert html.count('aria-invalid="true"') <= len(errors)


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "0x10", "1_000", "\N{ARABIC-INDIC DIGIT ONE}", "", " ", "9" * 400])
@pytest.mark.parametrize("name", ["ef", "share", "size", "cap", "steps", "ramp"])
def test_numbers_that_are_none_never_break_the_page(name: str, text: str) -> None:
    values = params_from_query(EveryKind, QueryDict(urlencode({name: text})))
    try:
        parse_params(EveryKind, values)
    except InvalidParams as error:
        assert error.errors[name].endswith(".")
    form = LabForm(EveryKind, values)
    assert form.query is not None and render_to_string("runs/controls/_field.html", {"control": control(EveryKind, name, values)})


def test_a_whole_number_may_be_typed_as_a_power_of_ten() -> None:
    assert parse_params(EveryKind, params_from_query(EveryKind, QueryDict("size=2e9"))).model_dump()["size"] == 2 * 10**9


def test_a_blank_number_is_an_error_and_not_silently_the_default() -> None:
    with pytest.raises(InvalidParams) as caught:
        parse_params(EveryKind, params_from_query(EveryKind, QueryDict("ef=")))
    assert list(caught.value.errors) == ["ef"]


def test_values_beside_a_preset_override_it() -> None:
    assert params_from_query(EveryKind, QueryDict("preset=wide&ef=99")) == {"ef": 99, "kinds": ("flat", "hnsw")}


def test_unknown_keys_and_presets_are_named() -> None:
    assert unknown_keys(EveryKind, QueryDict("ef=9&seed=1&colour=red&preset=gone")) == ["colour", "preset"]
    assert unknown_keys(EveryKind, QueryDict("preset=wide&dataset=x")) == []


# --- sliders -----------------------------------------------------------------------------------------------------------

bounds = st.tuples(st.floats(1e-6, 1e9), st.floats(1.05, 1e6)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@given(bounds, st.booleans())
def test_log_stops_rise_from_end_to_end_without_repeats(ends: tuple[float, float], whole: bool) -> None:
    low, high = (math.ceil(ends[0]), math.ceil(ends[0]) + math.ceil(ends[1] - ends[0]) + 1) if whole else ends
    stops = log_stops(low, high, whole=whole)
    assert stops[0] == low and stops[-1] == high and len(stops) <= 122
    assert all(a < b for a, b in pairwise(stops))
    assert not whole or all(float(stop).is_integer() for stop in stops)


@given(bounds, st.floats(0, 1))
def test_the_nearest_stop_is_nearest_by_ratio(ends: tuple[float, float], where: float) -> None:
    stops = log_stops(*ends, whole=False)
    value = ends[0] * (ends[1] / ends[0]) ** where
    found = abs(math.log(stops[nearest(stops, value)] / value))
    assert all(found <= abs(math.log(stop / value)) + 1e-9 for stop in stops)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_a_linear_slider_has_enough_stops_and_whole_ones_for_whole_numbers(low: float, width: float, whole: bool) -> None:
    step = linear_step(low, low + width, whole=whole)
    assert step >= 1 if whole else width / step >= 99
    assert math.isclose(math.log10(step) % 1, 0, abs_tol=1e-9) or math.isclose(math.log10(step) % 1, 1, abs_tol=1e-9)


def test_a_value_beyond_the_soft_bounds_leaves_the_slider_at_its_end() -> None:
    slider = slider_for(4000, hard=(8, 4096), soft=(10, 1024), whole=True, log=True, default=64)
    assert int(slider.position) == len(slider.stops) - 1 and slider.stops[-1] == "1024" and "64" in slider.stops
