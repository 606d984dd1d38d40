"""Traces: what is read from files, what is mended, and the sentence for what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving.trace import Trace
from simulators.engines.serving.trace_files import MAX_ROWS, load_trace
from simulators.errors import InvalidInput

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
PLAIN = "arrival_s,prompt_tokens,output_tokens\n"


def line(**columns: object) -> str:
    return json.dumps({"timestamp": 0, "input_length": 600, "output_length": 3, "hash_ids": [1, 2]} | columns) + "\n"


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds {name}")
    return path


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(1, 5000), st.integers(0, 500)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_trace_is_sorted_stably_and_keeps_every_request(rows: list[tuple[float, int, int]]) -> None:
    text = PLAIN + "".join(f"{arrival!r},{prompt},{output}\n" for arrival, prompt, output in rows)
    trace = load_trace(text.encode())
    expected = sorted(range(len(rows)), key=lambda i: rows[i][0])
    assert trace.row.tolist() == expected
    assert trace.arrival_s.tolist() == [rows[i][0] for i in expected]
    assert trace.prompt_tokens.tolist() == [rows[i][1] for i in expected]
    assert trace.output_tokens.tolist() == [max(rows[i][2], 1) for i in expected]
    assert any("sorted" in note for note in trace.notes) == (expected != list(range(len(rows))))
    assert any("0 output tokens" in note for note in trace.notes) == any(row[2] == 0 for row in rows)


def test_hashes_follow_their_requests_when_sorted() -> None:
    given_ids = [[7, 8], [9], [1, 2, 3]]
    arrivals, prompts = [2.0, 1.0, 0.0], [600, 10, 1400]
    rows = [line(timestamp=a * 1000, input_length=p, hash_ids=h) for a, p, h in zip(arrivals, prompts, given_ids, strict=True)]
    trace = load_trace("".join(rows).encode())
    kept = [trace.hash_ids[a:b].tolist() for a, b in zip(trace.hash_ptr[:-1], trace.hash_ptr[1:], strict=True)]
    assert kept == given_ids[::-1]
    assert trace.arrival_s.tolist() == [0, 1, 2]
    assert trace.rows([0, 2]).hash_ids.tolist() == [1, 2, 3, 7, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN + "0,5,3\n\n1,x,3\n", ["line 4", "column prompt_tokens", "'x'", "whole number"]),
        (PLAIN + "0,5,3\n-1,4,3\n", ["line 3", "column arrival_s", "'-1'", "0 or later"]),
        (PLAIN + "0,0,3\n", ["line 2", "column prompt_tokens", "at least 1"]),
        (PLAIN + "0,1.5,3\n", ["line 2", "column prompt_tokens", "'1.5'", "whole number"]),
        (PLAIN + "0,1,-3\n", ["line 2", "column output_tokens", "'-3'"]),
        (PLAIN + ",1,3\n", ["line 2", "column arrival_s", "nothing"]),
        (PLAIN + "inf,1,3\n", ["line 2", "column arrival_s", "'inf'"]),
        (PLAIN + "0,1\n", ["line 2", "2 fields", "expected 3"]),
        (PLAIN, ["no rows"]),
        ("", ["empty"]),
        ("arrival_s,tokens\n0,1\n", ["prompt_tokens, output_tokens", "found arrival_s, tokens", "ContextTokens"]),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,3,4\n", ["line 2", "column TIMESTAMP", "'yesterday'"]),
        (line() + line(hash_ids=[1]), ["line 2", "column hash_ids", "1 ids", "600", "at least 2"]),
        (line() + line(hash_ids=[1.5, 2]), ["line 2", "column hash_ids", "[1.5, 2]"]),
        (line() + line(input_length="many"), ["line 2", "column input_length", "'many'"]),
        (line() + "hello\n", ["line 2", "JSON"]),
        (line() + line(timestamp=-5), ["line 2", "column timestamp", "-5"]),
        (line(block_tokens=512) + line(block_tokens=16, hash_ids=list(range(99))), ["line 2", "block_tokens", "16", "512"]),
    ],
)
def test_what_cannot_be_read_is_refused_by_line_and_column(text: str, said: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        load_trace(text.encode())
    for words in said:
        assert words in error.value.message


def test_a_file_nobody_would_wait_for_is_refused_and_its_first_rows_are_read() -> None:
    data = (PLAIN + "1.5,100,20\n" * (MAX_ROWS + 10)).encode()
    with pytest.raises(InvalidInput, match="more than 1,000,000 rows.*limit"):
        load_trace(data)
    assert len(load_trace(data, limit=1000)) == 1000


def test_optional_columns() -> None:
    header = PLAIN.strip() + ",tenant,priority,ttft_slo_s,session,hash_ids\n"
    trace = load_trace((header + "0,20,3,pro,2,1.5,a,1 2\n1,20,3,free,,,b,1 3\n2,20,3,pro,1,2,a,1 2\n").encode())
    assert [trace.tenant_names[code] for code in trace.tenant] == ["pro", "free", "pro"]
    assert trace.priority.tolist() == [2, 0, 1]
    assert trace.ttft_slo_s.tolist() == [1.5, np.inf, 2]
    assert trace.session[0] == trace.session[2] != trace.session[1]
    ids = trace.hash_ids
    assert ids[0] == ids[2] == ids[4] and ids[1] == ids[5] != ids[3]


def test_ids_may_be_texts_in_json() -> None:
    trace = load_trace((line(hash_ids=["a", "b"]) + line(hash_ids=["a", "c"])).encode())
    ids = trace.hash_ids
    assert ids[0] == ids[2] and len(set(ids.tolist())) == 3


def test_clock_and_cut() -> None:
    text = (line(input_length=2000, output_length=100, hash_ids=[1, 2, 3, 4]) + line(timestamp=4000)).encode()
    trace = load_trace(text, time_scale=2.5, max_total_tokens=1100)
    assert trace.arrival_s.tolist() == [0, 10]
    assert trace.prompt_tokens.tolist() == [1000, 600] and trace.output_tokens.tolist() == [100, 3]
    assert trace.hash_ids.tolist() == [1, 2, 1, 2] and trace.hash_ptr.tolist() == [0, 2, 4]
    assert np.isclose(trace.at_rate(5.0).rate_rps, 5.0)


def test_a_coarse_grid_of_times_is_pointed_out_and_can_be_spread() -> None:
    trace = load_trace("".join(line(timestamp=3000 * (i // 10)) for i in range(300)).encode())
    assert any("3 s apart" in note for note in trace.notes)
    spread = trace.jittered(0)
    assert len(np.unique(spread.arrival_s)) == 300
    assert np.array_equal(np.sort(spread.row), np.arange(300)) and spread.duration_s < trace.duration_s + 3


def test_arrays_are_checked_too() -> None:
    with pytest.raises(InvalidInput, match="row 2, column prompt_tokens"):
        Trace([0, 1], [1, 0], [1, 1])
    with pytest.raises(InvalidInput, match=r"expected \(2,\)"):
        Trace([0, 1], [1, 2], [1])
    with pytest.raises(InvalidInput, match="no requests"):
        Trace([], [], [])
    with pytest.raises(InvalidInput, match="row 1, column hash_ids"):
        Trace([0], [600], [1], hash_ids=[1], hash_ptr=[0, 1])


@pytest.mark.validation
def test_public_traces_are_read_as_published() -> None:
    azure = load_trace(real("serving_traces/AzureLLMInferenceTrace_conv.csv"))
    assert len(azure) == 19_366
    assert round(azure.prompt_tokens.mean()) == 1155 and round(azure.output_tokens.mean()) == 211
    mooncake = load_trace(real("serving_traces/mooncake_synthetic_trace.jsonl"))
    assert len(mooncake) == 3993 and mooncake.block_tokens == 512


@pytest.mark.validation
def test_options_remake_the_trace_of_the_parity_cases() -> None:
    case = load_trace(real("serving_cases/vllm_conv3000/trace.csv"))
    azure = load_trace(real("serving_traces/AzureLLMInferenceTrace_conv.csv"), limit=3000, time_scale=2, max_total_tokens=4096)
    assert np.allclose(azure.arrival_s, case.arrival_s, atol=1e-6)
    assert np.array_equal(azure.prompt_tokens, case.prompt_tokens) and np.array_equal(azure.output_tokens, case.output_tokens)
