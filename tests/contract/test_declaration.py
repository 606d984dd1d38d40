"""What every lab declares about itself, its parameters, presets and data."""

from __future__ import annotations

import importlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.errors import InvalidInput
from simulators.lab import DataFile, Lab
from simulators.params import InvalidParams, parse_params
from simulators.registry import labs
from tests.contract.parameters import bounds, choices_of, extra, lists_of, numbers_of, texts_of
from tests.contract.running import allowed

PHASES = {"clarify", "capacity", "architecture", "deep_dive", "evaluation"}
PLACE = re.compile(r"\b(file|line|row|record|column)s?\b", re.IGNORECASE)
HEAVY = ("torch", "faiss", "hnswlib", "pandas", "sklearn", "statsmodels")


def test_there_are_labs() -> None:
    assert labs()


def test_a_lab_says_what_it_is(lab: type[Lab]) -> None:
    first, _, rest = (lab.__doc__ or "").strip().partition("\n")
    assert first.endswith("?"), "the docstring begins with the question"
    assert len(rest.strip()) > 200, "the rest of the docstring says how it works"
    assert lab.title and not lab.title.endswith(".")
    assert len(lab.why) > 40
    assert lab.phase in PHASES
    assert lab.version >= 1


def test_engines_explain_themselves(lab: type[Lab]) -> None:
    for name in lab.engines:
        assert importlib.import_module(name).__doc__, f"{name} has no docstring"


def test_parameters_have_words_bounds_and_units(lab: type[Lab]) -> None:
    for name, info in lab.Params.model_fields.items():
        assert info.title and info.description and extra(info)["group"], name
        assert not info.is_required(), f"{name} has no default"
    for number in numbers_of(lab):
        info = lab.Params.model_fields[number.name]
        low, high = bounds(info)
        assert low is not None and high is not None and low < high, f"{number.name} lacks a bound"
        assert extra(info)["unit"] or -1 <= low < high <= 1, f"{number.name} has no unit, and is no coefficient or probability"
        assert not number.log or low > 0, f"{number.name} is logarithmic from {low}"
        soft_low, soft_high = extra(info)["soft"] or (low, high)
        assert low <= soft_low < soft_high <= high, f"{number.name} has soft bounds outside the hard ones"


def test_every_parameter_is_a_number_a_choice_a_list_or_a_text(lab: type[Lab]) -> None:
    known = [item.name for find in (numbers_of, choices_of, lists_of, texts_of) for item in find(lab)]
    assert sorted(lab.Params.model_fields) == sorted(known)


def test_lists_and_texts_are_bounded(lab: type[Lab]) -> None:
    for items in lists_of(lab):
        assert items.type in (int, float) and items.low < items.high and items.most, f"{items.name} lacks a bound"
        assert extra(lab.Params.model_fields[items.name])["unit"], f"{items.name} has no unit"
    for text in texts_of(lab):
        assert text.most and text.most <= 2_000, f"{text.name} may be as long as one likes"


def test_conditions_name_fields_and_values(lab: type[Lab]) -> None:
    values = {choice.name: set(choice.values) for choice in choices_of(lab)}
    for name, info in lab.Params.model_fields.items():
        for other, wanted in extra(info)["shown_when"].items():
            assert other in values and set(wanted) <= values[other], f"{name} is shown when {other} is {wanted}"
        assert set(extra(info)["labels"]) <= set(map(str, values.get(name, ()))), name


def test_presets_are_valid_and_tell_a_story(lab: type[Lab]) -> None:
    assert len({preset.key for preset in lab.presets}) == len(lab.presets)
    for preset in lab.presets:
        assert preset.title and preset.story and preset.values
        parse_params(lab, preset.values)
        unchanged = {name for name, value in preset.values.items() if lab.Params.model_fields[name].default == value}
        assert not unchanged, f"{preset.key} repeats the defaults of {unchanged}"


# --- bad input -------------------------------------------------------------------------------------------------------


def test_numbers_outside_their_bounds_are_refused_by_name(lab: type[Lab]) -> None:
    for number in numbers_of(lab):
        step = 1 if number.type is int else max(1e-6, abs(number.high - number.low) * 1e-3)
        for value, expected in ((number.low - step, number.low), (number.high + step, number.high)):
            sentence = refusal(lab, number.name, value)
            assert number.title in sentence and str(value) in sentence
            assert f"{expected:g}" in sentence or str(expected) in sentence.replace(",", "")


@pytest.mark.parametrize("value", ["many", None, math.nan, math.inf, [1]], ids=str)
def test_what_is_no_number_is_refused_by_name(lab: type[Lab], value: Any) -> None:
    for number in numbers_of(lab):
        sentence = refusal(lab, number.name, value)
        assert number.title in sentence and "expected" in sentence


def test_unknown_choices_are_refused_with_the_known_ones(lab: type[Lab]) -> None:
    for choice in choices_of(lab):
        sentence = refusal(lab, choice.name, ("no such thing",) if choice.many else "no such thing")
        assert choice.title in sentence and "no such thing" in sentence and "expected" in sentence


def test_lists_are_refused_for_their_length_and_for_what_is_in_them(lab: type[Lab]) -> None:
    for items in lists_of(lab):
        step = 1 if items.type is int else 1e-3 * (items.high - items.low)
        for wrong in ((items.low - step,), (items.high, items.high + step), ("many",), (None,), (math.nan,)):
            sentence = refusal(lab, items.name, wrong)
            assert items.title in sentence and str(wrong[-1]) in sentence and "expected" in sentence
        assert f"at most {items.most} values" in refusal(lab, items.name, (items.high,) * ((items.most or 0) + 1))


def test_texts_are_refused_when_they_are_too_long(lab: type[Lab]) -> None:
    for text in texts_of(lab):
        assert f"at most {text.most or 0:,} characters" in refusal(lab, text.name, "x" * ((text.most or 0) + 1))


def test_unknown_parameters_are_refused(lab: type[Lab]) -> None:
    assert "no_such_parameter" in refusal(lab, "no_such_parameter", 1)


def refusal(lab: type[Lab], name: str, value: Any) -> str:
    with pytest.raises(InvalidParams) as caught:
        parse_params(lab, {name: value})
    assert name in caught.value.errors, f"{name}={value} is not refused by name"
    return caught.value.errors[name]


def test_defaults_are_allowed(lab: type[Lab]) -> None:
    assert allowed(lab, {}) is not None


# --- the user's own data -----------------------------------------------------------------------------------------------


def garbage(suffix: str) -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    return {"empty": b"", "noise": rng.bytes(5000), "text": b"not what you think\n" * 20, "one_byte": b"\x93", "other_suffix": b"x" * 100}


def test_garbage_is_refused_with_the_place_of_the_fault(lab: type[Lab], tmp_path: Path) -> None:
    if lab.data is None:
        return
    options = {option.key: option.default for option in lab.data.options}
    first = lab.data.slots[0]
    for suffix in first.formats:
        for kind, body in garbage(suffix).items():
            name = f"mine{suffix if kind != 'other_suffix' else '.exe'}"
            path = tmp_path / "stored"
            path.write_bytes(body)
            with pytest.raises(InvalidInput) as caught:
                lab.data.check({first.key: DataFile(name, path)}, options)
            said = caught.value.message
            assert name in said or PLACE.search(said), f"{kind} {suffix}: {said}"


def test_data_is_described(lab: type[Lab]) -> None:
    if lab.data is None:
        return
    assert lab.data.title and lab.data.help
    for slot in lab.data.slots:
        assert slot.title and slot.help and slot.formats
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in slot.formats)
    assert all(option.default in option.choices for option in lab.data.options if option.choices and option.default)


# --- importing -------------------------------------------------------------------------------------------------------


def test_discovering_labs_imports_nothing_heavy_and_starts_no_thread() -> None:
    """The web process does it too, and workers fork after it."""
    code = (
        "import sys, threading; from simulators.registry import labs; labs();"
        f"print([name for name in {HEAVY} if name in sys.modules], threading.active_count())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.stdout.strip() == "[] 1", done.stdout + done.stderr
