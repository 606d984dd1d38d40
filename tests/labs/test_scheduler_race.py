"""The lab `scheduler_race`: the effects it exists to show, its accounts, own traces, and the challenge."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.serving import CostModel, SchedulerConfig, Trace, capacity, simulate, synth_trace
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Result
from simulators.llm_serving._race_measure import Report, grouped, jain_of_service, max_min_shares, slowest, why_slow
from simulators.llm_serving._race_params import RaceParams
from simulators.llm_serving._race_sides import curves, own_side, scene_of, sides
from simulators.llm_serving._race_world import World, alone_times, own_setup, served, world_of
from simulators.llm_serving._trace_data import SPEC, check
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
LAB = get_lab("llm_serving", "scheduler_race")
SEEDS = (1, 2, 3)
JUDGED = (11, 12, 13, 14, 15)
EIGHT_B = {"model": "Llama-3.1-8B", "tp": "1", "replicas": 1, "long_share": 0.0}
VIRAL = {**EIGHT_B, "rate": 12.0, "burst": 21.0}
SMALL = {"policy": "vllm_v1", "replicas": 1, "rate": 6.0}
STORE = CachedAssets(None)


@cache
def reported(seed: int, values: str) -> Report:
    """The run on the page without the panels beside it."""
    world = world_of(RaceParams(**json.loads(values)), Context(seed=seed, assets=STORE))
    setup = own_setup(world)
    return Report(world, setup, finish(served(setup, world.trace, world, "", log=True)))


def report(seed: int, **values: Any) -> Report:
    return reported(seed, json.dumps(values, sort_keys=True))


def short_p99(seed: int, **values: Any) -> float:
    found = report(seed, **values)
    return float(np.percentile(found.run.ttft_s[found.short], 99))


def itl_ms(seed: int, q: float = 99, **values: Any) -> float:
    return float(report(seed, **values).itl_ms(q) or 0)


def lab_run(seed: int = 1, data: Data | None = None, **values: Any) -> Result:
    return run_lab(LAB, values, Context(seed=seed, assets=STORE, data=data))


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def metric(result: Result, key: str) -> Any:
    return next(item.value for item in result.metrics if item.key == key)


# --- effects -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_first_come_first_served_leaves_short_prompts_behind_the_long_one(seed: int) -> None:
    fcfs, srpt = short_p99(seed), short_p99(seed, order="srpt", token_budget=320)
    assert fcfs > 7 and srpt < 0.8
    assert short_p99(seed, token_budget=512) > 0.8 * fcfs, "chunking alone does not help the time to first token"
    assert srpt < short_p99(seed, long_prefill_threshold=512) < 0.75 * fcfs


@pytest.mark.parametrize("seed", SEEDS)
def test_the_size_of_a_step_sets_the_gaps_between_tokens(seed: int) -> None:
    wide, middle, lean = (itl_ms(seed, token_budget=budget) for budget in (2048, 512, 320))
    assert wide > 120 and middle < 0.5 * wide and lean < 0.85 * middle
    assert itl_ms(seed, policy="vllm_v0") > 100
    assert itl_ms(seed, 99.9, policy="vllm_v0") > 4 * itl_ms(seed, policy="vllm_v0")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_long_prompts_pay_for_srpt(seed: int) -> None:
    fcfs, srpt = (report(seed, **values) for values in ({}, {"order": "srpt", "token_budget": 320}))
    medians = [float(np.median(found.run.ttft_s[found.world.long])) for found in (fcfs, srpt)]
    assert medians[1] > 1.4 * medians[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_pools_cure_the_gaps_and_a_replica_kept_for_long_prompts_the_queue(seed: int) -> None:
    plain, kept = {"policy": "disaggregated"}, {"policy": "disaggregated", "long": 1}
    assert itl_ms(seed, **plain) < 35 and short_p99(seed, **plain) > 7
    assert itl_ms(seed, **kept) < 25 and short_p99(seed, **kept) < 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_fair_shares_keep_a_noisy_neighbour_at_home(seed: int) -> None:
    runs = {order: report(seed, **VIRAL, order=order) for order in ("fcfs", "vtc", "sjf")}
    others = {order: float(np.percentile(found.run.ttft_s[found.world.trace.tenant != 0], 99)) for order, found in runs.items()}
    assert others["fcfs"] > 100 and others["vtc"] < 3
    assert abs(runs["vtc"].run.makespan_s / runs["fcfs"].run.makespan_s - 1) < 0.02, "the same work"
    assert runs["vtc"].fairness > runs["fcfs"].fairness + 0.2
    everyone = [runs[order].run.ttft_s for order in ("fcfs", "sjf")]
    assert np.median(everyone[1]) < 0.1 * np.median(everyone[0]) and np.percentile(everyone[1], 99) > np.percentile(everyone[0], 99)


def makespan(seed: int, model: str, gpu: str, **scheduler: Any) -> float:
    crowd = synth_trace("batch", 1_500, 1.0, seed)
    return simulate(crowd, CostModel.roofline(model, gpu), SchedulerConfig(max_seqs=256, **scheduler)).makespan_s


@pytest.mark.parametrize("seed", SEEDS)
def test_paged_memory_carries_more_than_reserved(seed: int) -> None:
    paged, static = (makespan(seed, "Llama-3.1-8B", "H100", policy=policy) for policy in ("vllm_v1", "static"))
    near, far = (makespan(seed, "Llama-3.1-8B", "H100", policy="orca", max_len=length) for length in (8_192, 32_768))
    assert static > 1.6 * paged and near > 1.1 * paged and far > 2 * paged and far > 1.5 * near


def test_grouped_heads_shrank_the_gain_of_paging() -> None:
    """On multi-head attention decode is bound by reading keys and values, so more of them at once buys little."""
    for seed in SEEDS:
        gains = [
            makespan(seed, model, gpu, policy="orca", max_len=length) / makespan(seed, model, gpu, policy="vllm_v1")
            for model, gpu, length in (("Llama-2-7B", "A100", 5_120), ("Llama-3.1-8B", "H100", 32_768))
        ]
        assert gains[0] < 1.5 < 2 < gains[1]


def test_traps_are_told() -> None:
    kept = effects(lab_run(policy="disaggregated", long=1))
    assert {"pools_and_kept", "p99_hides_long", "long_impossible"} <= kept
    assert {"head_of_line", "itl_missed"} <= effects(lab_run())
    assert {"chunks_not_ttft", "head_of_line"} <= effects(lab_run(policy="sarathi", token_budget=512))
    assert {"srpt_cures", "srpt_pays", "busy_is_not_overload"} <= effects(lab_run(order="srpt", token_budget=320))
    assert "pools_not_ttft" in effects(lab_run(policy="disaggregated"))
    assert "noisy_neighbour" in effects(lab_run(**VIRAL)) and "vtc" in effects(lab_run(**VIRAL, order="vtc"))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_presets_are_what_they_say(seed: int) -> None:
    presets = {preset.key: preset.values for preset in LAB.presets}
    storm, static = report(seed, **presets["recompute_storm"]), report(seed, **presets["static_2021"])
    assert storm.run.restarts.sum() > 200 and min(storm.run.blocks_free) == storm.world.num_blocks
    later = report(seed, **{**presets["static_2021"], "policy": "vllm_v1"})
    assert later.run.makespan_s < 0.7 * static.run.makespan_s


@pytest.mark.validation
def test_published_capacity_of_chunked_against_prefill_first() -> None:
    """CodeLlama-34B on two A100: chunks carry more the tighter the limit, until they are too large for it (Sarathi-Serve, OSDI 2024)."""
    folder = DATA / "serving_cases"
    if not folder.exists():
        pytest.skip(f"{folder} is absent; set LOOP45_DATA to the folder that holds serving_cases")
    tables = next(folder.rglob("*.npz"))
    cost = CostModel.from_vidur(tables, 48)
    drawn = synth_trace("conversation", 2_000, 2.0, 1)
    trace = Trace(drawn.arrival_s, np.minimum(drawn.prompt_tokens, 4_000 - drawn.output_tokens), drawn.output_tokens)
    found = {}
    for name, scheduler in (("v0", SchedulerConfig("vllm_v0")), ("sarathi", SchedulerConfig("sarathi"))):
        for limit in (0.2, 1.0):
            slo = {"itl_s": limit, "ttft_s": 30.0}
            found[name, limit] = capacity(trace, cost, scheduler, slo=slo, num_blocks=27_904, rates=(0.05, 20))
    assert found["sarathi", 1.0] > 1.2 * found["v0", 1.0]
    assert found["sarathi", 0.2] / found["v0", 0.2] > 1.5 * found["sarathi", 1.0] / found["v0", 1.0]


# --- accounts ----------------------------------------------------------------------------------------------------------------


def test_alone_is_what_an_empty_replica_takes() -> None:
    """Against one simulation a request."""
    cost = CostModel.roofline("70B", "H100", tp=8)
    trace = synth_trace("long_mix", 40, 1.0, 5, long_share=0.1)
    alone = alone_times(trace, cost)
    for i in range(len(trace)):
        one = simulate(trace.rows([i]), cost, SchedulerConfig("vllm_v1", token_budget=200_000))
        assert one.ttft_s[0] == pytest.approx(alone.ttft_s[i], rel=1e-9)
        assert one.e2e_s[0] == pytest.approx(alone.e2e_s[i], rel=1e-3)


@pytest.mark.parametrize("values", [{}, {"policy": "disaggregated"}, {"kv_blocks_scale": 0.05, "long_share": 0.0, "rate": 32.0}], ids=str)
def test_parts_add_up_and_nobody_is_faster_than_alone(values: dict[str, Any]) -> None:
    found = report(1, **values)
    assert np.allclose(found.parts.sum(axis=1), found.run.e2e_s, atol=1e-9) and found.parts.min() > -1e-9
    assert found.delay_s.min() > -1e-6 * found.run.e2e_s.max()
    assert np.allclose(grouped(found.run.breakdown), found.parts)


def test_the_log_agrees_with_the_requests() -> None:
    """Queue and free blocks of the log against what the requests' own times say."""
    found = report(2, **SMALL)
    log, run, trace = found.run.iteration_log, found.run, found.world.trace
    for row in log[:: len(log) // 200]:
        begun = (run.scheduled_s <= row["start_s"]).sum()
        arrived = (trace.arrival_s <= row["start_s"]).sum()
        assert row["waiting"] == arrived - begun
        held = (run.scheduled_s <= row["start_s"]) & (run.finished_s > row["start_s"])
        least = -(-trace.prompt_tokens[held & (run.first_token_s <= row["start_s"])] // 16)
        assert (
            least.sum() <= run.blocks_total[0] - row["free_blocks"] <= (-(-(trace.prompt_tokens + trace.output_tokens)[held] // 16)).sum()
        )


def test_rate_and_share_move_the_same_requests() -> None:
    base, faster, more = (report(1, **values).world.trace for values in ({}, {"rate": 48.0}, {"long_share": 2.0}))
    assert np.allclose(base.arrival_s, 2 * faster.arrival_s) and np.array_equal(base.prompt_tokens, faster.prompt_tokens)
    long = base.prompt_tokens == 100_000
    assert long.sum() == 24 and (more.prompt_tokens == 100_000).sum() == 120 and np.all(more.prompt_tokens[long] == 100_000)


def test_max_min_shares_fill_modest_demands_first() -> None:
    assert max_min_shares(np.array([1.0, 10.0, 10.0]), np.ones(3), 9.0).tolist() == [1, 4, 4]
    assert max_min_shares(np.array([9.0, 9.0]), np.array([2.0, 1.0]), 6.0).tolist() == [4, 2]
    assert max_min_shares(np.array([1.0, 2.0]), np.ones(2), 9.0).tolist() == [1, 2]


def test_fairness_needs_two_tenants() -> None:
    trace = Trace([0.0, 1.0], [10, 10], [5, 5])
    run = simulate(trace, CostModel.roofline("8B", "H100"), SchedulerConfig("vllm_v1"))
    assert jain_of_service(run, (1.0,), (0.0, 1.0)) is None


def test_why_slow_names_the_prompt_in_front() -> None:
    """One long prompt, one replica, first come first served: the short one behind it waits for it."""
    params = RaceParams(policy="vllm_v1", replicas=1)
    world = world_of(params, Context(seed=1, assets=STORE))
    trace = Trace([0.0, 0.5, 0.6], [100_000, 200, 300], [5, 5, 5])
    narrow = World(params, world.cost, world.num_blocks, trace, alone_times(trace, world.cost), "", False)
    setup = own_setup(narrow)
    found = Report(narrow, setup, finish(served(setup, trace, narrow, "")))
    i = int(slowest(found, 1)[0])
    assert i in (1, 2) and "in the queue behind a prompt of 100,000 tokens" in why_slow(found, i)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_long_prompt_side_by_side(seed: int) -> None:
    world = world_of(RaceParams(), Context(seed=seed, assets=STORE))
    scene = scene_of(world, Context(seed=seed, assets=STORE))
    assert (scene.trace.prompt_tokens > 8_000).sum() == 1
    found = finish(sides(scene)).found
    assert len(found) == 9, "seven policies and two cures"
    assert found["srpt"].short_ttft_p99_s < 0.25 * found["vllm_v1"].short_ttft_p99_s
    assert found["kept"].itl_max_ms < 0.5 * found["vllm_v1"].itl_max_ms
    for side in found.values():
        assert side.loss_s > 0 and side.victim_parts.min() > -1e-9
    mine = finish(own_side(scene))
    assert np.allclose(mine.victim_parts, found["vllm_v1"].victim_parts), "the page opens with vLLM v1 as it comes"


def test_goodput_never_exceeds_the_offer() -> None:
    world = world_of(RaceParams(**VIRAL | {"burst": 1.0, "replicas": 2}), Context(seed=1, assets=STORE))
    for curve in finish(curves(world)):
        goodput = curve.goodput_rps(2.0, 0.05)
        assert np.all(goodput <= 1.02 * curve.rates_rps) and len(goodput) >= 6
        assert np.all(curve.goodput_rps(60.0, 1.0) >= goodput - 1e-9), "wider limits let no fewer pass"


# --- own traces --------------------------------------------------------------------------------------------------------------

GOOD = "arrival_s,prompt_tokens,output_tokens,tenant\n0.0,1200,25,free\n0.4,20000,50,pro\n0.5,300,12,free\n"


def own(tmp_path: Path, text: str, name: str = "mine.csv", **options: str) -> Data:
    path = tmp_path / "stored"
    path.write_text(text)
    return Data(str(hash((text, tuple(options.items())))), {"trace": DataFile(name, path)}, options)


def test_an_own_trace_is_replayed_with_its_tenants(tmp_path: Path) -> None:
    data = own(tmp_path, GOOD)
    facts = dict(check(data.files, data.options).facts)
    assert facts["Requests"] == "3 in 0.5 s" and facts["Tenants"] == "2"
    result = lab_run(data=data)
    assert metric(result, "long_ttft_max_s") > 0 and metric(result, "throughput_rps") > 0
    assert any("Side by side" in note for note in result.notes)
    said = [item.title for item in (*result.figures, *result.tables) if item.key in ("suffered", "sides")]
    assert len(said) == 2 and all(title.startswith("The first 3 requests of your trace") for title in said)
    assert not any("lands" in item.title for item in result.figures)


def test_the_clock_is_the_owners_choice(tmp_path: Path) -> None:
    rows = "".join(f"{i},500,20\n" for i in range(50))
    text = "arrival_s,prompt_tokens,output_tokens\n" + rows
    ctx = [Context(seed=1, assets=STORE, data=own(tmp_path, text, clock=clock)) for clock in ("as recorded", "at the lab's rate")]
    kept, moved = (world_of(RaceParams(rate=10.0), each).trace for each in ctx)
    assert kept.rate_rps == pytest.approx(1.0) and moved.rate_rps == pytest.approx(10.0)


MOONCAKE = '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}\n'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "arrival_s,output_tokens\n0,5\n", ("a.csv, line 1", "no column prompt_tokens", "found arrival_s, output_tokens")),
        ("b.csv", "arrival_s,prompt_tokens,output_tokens\n0,5,5\n1,many,5\n", ("b.csv, line 3, column prompt_tokens", "many")),
        ("c.csv", "arrival_s,prompt_tokens,output_tokens\n-1,5,5\n", ("c.csv, line 2, column arrival_s", "0 or later")),
        ("d.csv", "arrival_s,prompt_tokens,output_tokens\n0,0,5\n", ("d.csv, line 2, column prompt_tokens", "at least 1 token")),
        ("e.jsonl", MOONCAKE + MOONCAKE.replace("[1, 2]", "[1]"), ("e.jsonl, line 2, column hash_ids", "1 ids for 600")),
        ("f.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,5,5\n", ("f.csv, line 2, column TIMESTAMP", "yesterday")),
        ("g.csv", "", ("g.csv is empty",)),
    ],
)
def test_a_bad_trace_is_refused_with_its_place(tmp_path: Path, name: str, text: str, said: tuple[str, ...]) -> None:
    data = own(tmp_path, text, name)
    with pytest.raises(InvalidInput) as caught:
        check(data.files, data.options)
    assert all(part in caught.value.message for part in said), caught.value.message


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("5,10,5\n1,10,5\n", "sorted by arrival"),
        ("1,10,0\n2,10,5\n", "they were given 1"),
        ("".join(f"{3 * (i // 20)},10,5\n" for i in range(200)), "an artefact of the log"),
    ],
)
def test_what_can_be_mended_is_mended_and_said(tmp_path: Path, rows: str, said: str) -> None:
    data = own(tmp_path, "arrival_s,prompt_tokens,output_tokens\n" + rows)
    assert any(said in warning for warning in check(data.files, data.options).warnings)
    assert any(said in note for note in lab_run(data=data).notes)


def test_jitter_spreads_a_coarse_log(tmp_path: Path) -> None:
    rows = "".join(f"{3 * (i // 20)},10,5\n" for i in range(200))
    data = own(tmp_path, "arrival_s,prompt_tokens,output_tokens\n" + rows, jitter="yes")
    trace = world_of(RaceParams(), Context(seed=1, assets=STORE, data=data)).trace
    assert len(np.unique(trace.arrival_s)) == 200


def test_a_file_too_long_is_refused(tmp_path: Path) -> None:
    data = own(tmp_path, "arrival_s,prompt_tokens,output_tokens\n" + "0,1,1\n" * 1_100_000)
    with pytest.raises(InvalidInput, match="more than 1,000,000 rows"):
        check(data.files, data.options)
    with pytest.raises(InvalidInput, match="expected a whole number from 1 to 1,000,000"):
        check(data.files, {"rows": "-3"})
    assert dict(check(data.files, {"rows": "1000"}).facts)["Requests"].startswith("1,000 ")


def test_a_request_that_never_fits_is_named(tmp_path: Path) -> None:
    data = own(tmp_path, "arrival_s,prompt_tokens,output_tokens\n0,10,5\n1,3000000,5\n")
    with pytest.raises(InvalidInput, match="row 2: a request of 3,000,000 prompt and 5 output tokens can never be served"):
        lab_run(data=data)


@pytest.mark.validation
@pytest.mark.parametrize("name", ["AzureLLMInferenceTrace_conv.csv", "mooncake_synthetic_trace.jsonl"])
def test_public_traces_are_replayed_as_they_are(name: str) -> None:
    path = DATA / "serving_traces" / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds serving_traces")
    files = {"trace": DataFile(name, path)}
    facts = dict(check(files, {}).facts)
    assert facts["Requests"].startswith("19,366 " if name.startswith("Azure") else "3,993 ")
    result = lab_run(data=Data(name, files, {"rows": "3000"}))
    assert metric(result, "ttft_p99_s") > 0


# --- refusals ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"token_budget": 128}, "raise token_budget to at least max_seqs"),
        ({"policy": "disaggregated", "prefill": 2, "long": 2}, "at least one for the others"),
        ({"tier_weights": (1.0, 2.0)}, "expected one for each of free, plus, pro, api"),
    ],
)
def test_what_does_not_fit_together_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParams, match=said):
        parse_params(LAB, values)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="use tp >= 2"):
        lab_run(tp="1", replicas=1)


# --- the challenge -----------------------------------------------------------------------------------------------------------

CHALLENGE = LAB.challenges[0]


def judged(design: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    found = [report(seed, **{**CHALLENGE.world, **design}) for seed in JUDGED]
    return {
        "short_ttft_p99_s": np.array([each.ttft(each.short, 99) for each in found]),
        "itl_p99_ms": np.array([each.itl_ms(99) for each in found]),
        "long_ttft_max_s": np.array([each.ttft(each.world.long, 100) for each in found]),
        "gpus": np.array([each.gpus for each in found]),
    }


def failures(design: dict[str, Any]) -> set[str]:
    values = judged(design)
    return {wanted.metric for wanted in CHALLENGE.assertions if values[wanted.metric].mean() > wanted.target}


@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_two_designs_of_different_kind_pass_with_room(name: str) -> None:
    values = judged(dict(getattr(CHALLENGE, name)))
    for wanted in CHALLENGE.assertions:
        found = values[wanted.metric]
        assert wanted.target - found.mean() >= 2 * found.std(ddof=1), wanted.metric
        assert wanted.kind == "ceiling" or found.mean() <= 0.9 * wanted.target, wanted.metric
    assert CHALLENGE.reference["policy"] != CHALLENGE.alternative["policy"]


@pytest.mark.parametrize(
    ("design", "missed"),
    [
        (dict(CHALLENGE.naive), {"short_ttft_p99_s", "itl_p99_ms"}),
        (dict(CHALLENGE.maxed), {"gpus"}),
        ({}, {"short_ttft_p99_s", "itl_p99_ms"}),
        ({"policy": "disaggregated", "prefill": 2, "decode": 2}, {"short_ttft_p99_s"}),
        ({"order": "srpt", "token_budget": 8_192, "max_seqs": 1_024}, {"itl_p99_ms"}),
        ({"order": "sjf", "policy": "disaggregated", "prefill": 2, "decode": 2}, {"long_ttft_max_s"}),
    ],
    ids=["naive", "maxed", "defaults", "even split", "large steps", "shortest first"],
)
def test_the_tempting_designs_miss_something(design: dict[str, Any], missed: set[str]) -> None:
    assert missed <= failures(design)


def test_the_trace_form_says_what_it_takes() -> None:
    assert SPEC.slots[0].max_bytes == 20 * 2**20 and set(SPEC.slots[0].formats) == {".csv", ".jsonl"}
