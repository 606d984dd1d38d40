"""The windows lab: what cheap windows cost, on streams whose truth is known, through a store that is really written."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import redis

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.encoding import dumps
from simulators.engines.features.windows import EventLog
from simulators.errors import InvalidInput
from simulators.feature_store import _windows_world as world
from simulators.feature_store._windows_params import WindowsParams, automatic_hop
from simulators.feature_store._windows_stream import Log, Stream, exact, served
from simulators.feature_store.windows import WindowsLab
from simulators.lab import Context, Data, DataFile, KeySpace, Result
from simulators.params import parse_params
from tests.redis_server import RedisServer

SEEDS = (1, 2, 3)
MINUTES = {"late_share": 0.0, "hops": (60, 300, 3_600)}
DAY_S = 86_400


@pytest.fixture(scope="module", autouse=True)
def smaller_world() -> Any:
    """A fifth of the events: effects are as large, and tests as quick."""
    patch = pytest.MonkeyPatch()
    patch.setattr(world, "EVENTS", 200_000)
    patch.setattr(world, "ENTITIES", 400)
    yield
    patch.undo()


@cache
def assets() -> CachedAssets:
    return CachedAssets(None)


def run(values: dict[str, Any], seed: int = 1, data: Data | None = None, **more: Any) -> Result:
    return run_lab(WindowsLab, values, Context(seed=seed, assets=assets(), data=data, **more))


def numbers(result: Result) -> dict[str, Any]:
    return {metric.key: metric.value for metric in result.metrics}


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


# --- effects ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sawtooth_counts_half_a_hop_too_much(seed: int) -> None:
    found = run(MINUTES, seed)
    got = numbers(found)
    for window, hop in ((300, 60), (3_600, 300), (604_800, 3_600)):
        theory = 100 * hop / (2 * window)
        assert got[f"bias@{window}s"] == pytest.approx(theory, rel=0.1)
        assert got[f"error@{window}s"] == got[f"bias@{window}s"]
    assert {"sawtooth", "attack_seen"} <= effects(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_hopping_is_right_on_average_and_wrong_each_time(seed: int) -> None:
    got = numbers(run({**MINUTES, "mode": "hopping", "hot_key": 0.0}, seed))
    tooth = numbers(run({**MINUTES, "hot_key": 0.0}, seed))
    for window, bias, low, high in ((300, 1.2, 15, 20), (3_600, 0.6, 4.5, 8), (604_800, 0.1, 0.1, 0.3)):
        assert abs(got[f"bias@{window}s"]) < bias
        assert low < got[f"error@{window}s"] < high
    assert got["error@300s"] > 1.4 * tooth["error@300s"]


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_that_differ_are_the_wrong_alarm(seed: int) -> None:
    found = run(MINUTES, seed)
    got = numbers(found)
    assert 35 < got["differ@604800s"] < 60 and got["error@604800s"] < 0.35
    assert got["differ@300s"] < 10 and got["error@300s"] > 8
    assert "rows_differ" in effects(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_attack_is_seen_at_once_when_the_hop_closes_or_never(seed: int) -> None:
    values = {"late_share": 0.0, "hops": (300, 300, 3_600), "burst": 40}
    tooth, hopping, snapshot = (run({**values, "mode": mode}, seed) for mode in ("sawtooth", "hopping", "snapshot"))
    seen = numbers(tooth)["attack_seen_s"]
    assert 20 < seen < 100
    # the attack begins 37 s after a full hop: the next one closes at 263 s
    assert 255 < numbers(hopping)["attack_seen_s"] < 275
    assert numbers(hopping)["served_age_s"] > 280 and numbers(tooth)["served_age_s"] == 0
    assert numbers(snapshot)["attack_seen_s"] is None
    assert "attack_late" in effects(hopping) and "attack_unseen" in effects(snapshot)
    assert numbers(snapshot)["newest_visible_s"] == DAY_S and numbers(tooth)["newest_visible_s"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_an_average_of_averages_is_wrong_where_merged_tiles_are_not(seed: int) -> None:
    found = run({"op": "avg", "windows": (86_400, 604_800), "late_share": 0.0}, seed)
    text = next(insight.text for insight in found.insights if insight.effect == "average_of_averages")
    naive = float(text.split("off by ")[1].split("%")[0])
    assert naive > 4 * numbers(found)["error@86400s"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_redelivery_biases_counts_one_way_only(seed: int) -> None:
    values = {**MINUTES, "mode": "sliding", "duplicates": 10.0}
    kept, dropped = numbers(run({**values, "dedup": False}, seed)), numbers(run(values, seed))
    for window in (300, 3_600, 604_800):
        assert kept[f"bias@{window}s"] == pytest.approx(10, abs=1.5)
        assert kept[f"error@{window}s"] == pytest.approx(kept[f"bias@{window}s"])
        assert dropped[f"error@{window}s"] == 0
    assert "repeated" in effects(run({**values, "dedup": False}, seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_lateness_repairs_long_windows_and_not_short_ones(seed: int) -> None:
    values = {**MINUTES, "mode": "sliding", "late_share": 20.0}
    strict, patient = (numbers(run({**values, "lateness": lateness}, seed)) for lateness in (0.0, 7_200.0))
    assert strict["dropped"] == pytest.approx(20, abs=0.5) and patient["dropped"] == 0
    assert strict["bias@604800s"] == pytest.approx(-20, abs=1)
    assert abs(patient["bias@604800s"]) < 0.1
    assert patient["bias@300s"] < -12  # asked before most of them arrive


@pytest.mark.parametrize("seed", SEEDS)
def test_sketches_err_within_their_bound_and_shrink_with_p(seed: int) -> None:
    errors = {}
    for p in (6, 12):
        found = run({"op": "count_distinct", "hll_p": p, "late_share": 0.0, "windows": (604_800,)}, seed)
        metric = next(metric for metric in found.metrics if metric.key == "hll_error")
        errors[p] = metric.value
        assert metric.limit == pytest.approx(104 / 2 ** (p / 2))
        assert metric.value < 1.5 * metric.limit
    assert errors[6] > 3 * errors[12]


@pytest.mark.parametrize("seed", SEEDS)
def test_state_and_reads_by_layout(seed: int) -> None:
    hops = {"late_share": 0.0, "hops": (20, 300, 3_600), "hot_key": 33.0}
    flat, rolled, body, raw = (
        numbers(run({**hops, "layout": layout}, seed)) for layout in ("flat", "hierarchical", "precombined", "raw_events")
    )
    assert (flat["reads"], body["reads"], body["reads_mean"]) == (16 + 13 + 169, 6, 6)
    assert 50 < rolled["reads"] <= 58 and rolled["writes"] == 4 and flat["writes"] == 3
    assert raw["reads"] > 5_000 and raw["writes"] == 1
    assert body["writes"] > 15  # every key with anything in its window, at every hop
    assert raw["bytes_max"] > 10 * flat["bytes_max"]
    assert body["bytes_p50"] < 0.2 * flat["bytes_p50"]
    sliding = numbers(run({**hops, "mode": "sliding"}, seed))
    assert sliding["worst_error"] == 0 and sliding["reads"] > flat["reads"] and sliding["writes"] == 4


# --- what it rests on -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["count", "sum", "avg"])
def test_late_events_count_once_they_have_arrived_and_not_before(op: Any) -> None:
    """Against a loop over events, for every kind of window."""
    for seed in SEEDS:
        draws = np.random.default_rng(seed)
        key, ts = np.sort(draws.integers(0, 3, 400)), draws.integers(0, 4_000, 400) * 1_000_000
        ts, values = ts[np.lexsort((ts, key))], draws.lognormal(size=400)
        late = draws.random(400) < 0.4
        arrival = ts + np.where(late, draws.integers(1, 900, 400), 0) * 1_000_000
        log, waiting = Log(EventLog(key, ts, values), 400), Log(EventLog(key[late], ts[late], values[late]), int(late.sum()))
        asked, at = draws.integers(0, 3, 60), draws.integers(1_000, 4_500, 60) * 1_000_000
        stream = Stream(log, Log(EventLog(key, ts, values), 400), waiting, ts[late], arrival[late], 0, 0, asked, at)
        shape = parse_params(WindowsLab, {"windows": (600,), "hops": (60,)}).shapes[0]  # type: ignore[attr-defined]
        truth = exact(log, shape, op, asked, at)
        for mode in ("sliding", "sawtooth", "hopping"):
            got = served(stream, shape, mode, op, asked, at, truth).served  # type: ignore[arg-type]
            for i in range(60):
                low, high = at[i] - 600_000_000, at[i]
                if mode != "sliding":
                    low = low // 60_000_000 * 60_000_000
                if mode == "hopping":
                    high = low + 600_000_000
                inside = values[(key == asked[i]) & (ts >= low) & (ts < high) & (arrival <= at[i])]
                wanted = {"count": len(inside), "sum": inside.sum(), "avg": inside.mean() if len(inside) else np.nan}[op]
                assert got[i] == pytest.approx(wanted, nan_ok=True)


@contextmanager
def own_space(client: redis.Redis) -> Any:
    yield KeySpace(client, "lab:test:", 60)


def test_the_attack_goes_through_redis_and_reads_back_the_same(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        before = client.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"]
        real = run(MINUTES, key_space=lambda: own_space(client))
        assert client.info("commandstats")["cmdstat_hset"]["calls"] - before > 100
        assert client.keys("*") == [b"lab:test:velocity:card"] and 0 < client.ttl("lab:test:velocity:card") <= 60
    inside = run(MINUTES)
    assert any("No Redis" in note for note in inside.notes) and not any("No Redis" in note for note in real.notes)
    assert dumps(real.figures) == dumps(inside.figures) and dumps(real.metrics) == dumps(inside.metrics)
    attack = next(figure for figure in real.figures if figure.key == "attack")
    lines = {trace["name"]: trace["y"] for trace in attack.plot["data"]}
    assert max(lines["Sawtooth, read back from the store"]) > 15


def test_automatic_hops_are_chronons_where_they_divide() -> None:
    assert [automatic_hop(w) for w in (300, 3_600, 43_200, 604_800, 14 * DAY_S)] == [300, 300, 3_600, 3_600, DAY_S]
    assert automatic_hop(90) == 90 and 1_000 % automatic_hop(1_000) == 0


# --- the design task -------------------------------------------------------------------------------------------------------------

TASK = WindowsLab.challenges[0]


def failed(design: Any, seed: int) -> set[str]:
    got = numbers(run({**TASK.world, **design}, seed))
    return {a.metric for a in TASK.assertions if not (got[a.metric] <= a.target)}


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_and_alternative_pass_the_others_fail(seed: int) -> None:
    assert failed(TASK.reference, seed) == set() == failed(TASK.alternative, seed)
    assert failed(TASK.naive, seed) >= {"worst_error", "newest_visible_s"}
    assert failed(TASK.maxed, seed) == {"reads"}
    assert failed({}, seed) >= {"worst_error"}
    assert failed({**TASK.reference, "layout": "precombined"}, seed) == {"writes"}
    assert failed({**TASK.reference, "mode": "hopping"}, seed) >= {"newest_visible_s"}
    assert "reads" in failed({**TASK.alternative, "mode": "sliding"}, seed)
    got = [numbers(run({**TASK.world, **design}, seed)) for design in (TASK.reference, TASK.alternative)]
    assert got[0]["reads"] == 44 and got[1]["reads"] <= 58 and got[1]["writes"] == 4
    assert [got[0][f"error@{w}s"] for w in (300, 3_600, 604_800)] == pytest.approx([3.3, 4.2, 3.6], abs=0.4)
    assert got[1]["error@604800s"] < 0.35


# --- bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"windows": (300,), "hops": (7,)}, "Hop 7 s does not divide window 300 s."),
        ({"windows": ()}, "nothing was given; expected one to 4"),
        ({"windows": (3_600, 300)}, "the shortest first"),
        ({"windows": (300,), "hops": (60, 60)}, "2 hops were given for 1 windows"),
        ({"windows": (840, 3_600), "hops": (420, 300), "layout": "hierarchical"}, "cannot be rolled up"),
    ],
)
def test_windows_that_do_not_fit_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_params(WindowsLab, values)
    parse_params(WindowsLab, {"windows": (300,), "hops": (7,), "mode": "snapshot"})  # a snapshot has no hops
    assert WindowsParams().shapes[0].hop_s == 300


def own(tmp_path: Any, text: str) -> Data:
    path = tmp_path / "own.csv"
    path.write_text(text)
    files = {"events": DataFile("own.csv", path)}
    assert WindowsLab.data is not None
    WindowsLab.data.check(files, {})
    return Data(f"digest-{hash(text)}", files)


def rows(n: int = 2_000, start: int = 1_767_225_600) -> list[str]:
    draws = np.random.default_rng(4)
    return [f"card_{draws.integers(0, 5)},{start + int(s)},{draws.lognormal():.3f}" for s in np.sort(draws.integers(0, 2 * DAY_S, n))]


def test_own_events_get_the_same_answers_whatever_the_form_of_their_times(tmp_path: Any) -> None:
    from datetime import UTC, datetime

    seconds = rows()
    iso, ms = [], []
    for row in seconds:
        entity, ts, value = row.split(",")
        iso.append(f"{entity},{datetime.fromtimestamp(int(ts), UTC).isoformat()},{value}")
        ms.append(f"{entity},{ts}000,{value}")
    values = {"windows": (3_600,), "hops": (300,), "late_share": 50.0}
    found = [run(values, data=own(tmp_path, "entity,ts,value\n" + "\n".join(lines) + "\n")) for lines in (seconds, iso, ms)]
    assert numbers(found[0]) == numbers(found[1]) == numbers(found[2])
    assert numbers(found[0])["bias@3600s"] == pytest.approx(4.2, abs=1)  # no event of a file is late
    assert "attack_seen_s" not in numbers(found[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.__setitem__(10, "card_1,1867225600,1"), "Line 12: ts is later than the file's clock"),
        (lambda lines: lines.__setitem__(10, "card_1,03/04/2025,1"), "Line 12: ts '03/04/2025' is not a time"),
        (lambda lines: lines.__setitem__(10, ",1767225600,1"), "Line 12: entity is empty"),
        (lambda lines: lines.__setitem__(10, "card_1,1767225600,many"), "Line 12, column value: 'many' is not a number"),
        (lambda lines: lines.__delitem__(slice(5, None)), "5 rows; at least 100"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path: Any, change: Any, words: str) -> None:
    lines = rows()
    change(lines)
    with pytest.raises(InvalidInput) as refused:
        own(tmp_path, "entity,ts,value\n" + "\n".join(lines) + "\n")
    assert words in refused.value.message


def test_a_file_without_the_columns_is_refused(tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match="has no column ts"):
        own(tmp_path, "entity,when,value\na,1,2\n")


def test_presets_show_what_they_tell() -> None:
    found = {preset.key: run(dict(preset.values)) for preset in WindowsLab.presets}
    assert "attack_late" in effects(found["card_testing"])
    assert numbers(found["seven_days_seven_tiles"])["reads"] == 8
    assert numbers(found["seven_days_seven_tiles"])["bias@604800s"] == pytest.approx(100 / 14 - 1.8, abs=0.6)
    assert "average_of_averages" in effects(found["average_of_averages"])
    assert "hot_key" in effects(found["hot_merchant"])
