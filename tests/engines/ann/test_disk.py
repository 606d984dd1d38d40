"""The cost model of a graph on SSD: published machine, arithmetic by hand, agreement with the walkthrough's calculator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems.calculators import evaluate
from problems.loader import load_problem
from simulators.engines.ann.disk import SECTOR_BYTES, disk_graph
from simulators.errors import InvalidInput

BILLION = 1_000_000_000


def test_lands_near_the_published_machine() -> None:
    """DiskANN, NeurIPS 2019: SIFT1B, bytes of 128 dimensions, on one node of 64 GB and 16 cores: over 5,000 QPS, under 3 ms."""
    sift = disk_graph(BILLION, 128, bytes_per_dim=1)
    assert sift.records_per_sector == 10
    assert sift.ssd_bytes == pytest.approx(410e9, rel=0.01)
    assert sift.ram_bytes < 64e9
    assert 5_000 < sift.qps < 15_000
    assert 1 < sift.latency_ms < 3


def test_float32_vectors_of_768_dimensions_take_a_sector_each() -> None:
    cost = disk_graph(BILLION, 768)
    assert (cost.record_bytes, cost.records_per_sector) == (3_332, 1)
    assert cost.ssd_bytes == pytest.approx(4.096e12)
    assert cost.ram_bytes == 32e9


def test_agrees_with_the_calculator_of_the_walkthrough() -> None:
    calculator = load_problem("vector_search").calculator("disk_graph")
    assert calculator
    for d, width in ((768, 4), (128, 1), (200, 2), (4096, 4)):
        shown, cost = evaluate(calculator, {"d": d, "bytes_per_dim": width}), disk_graph(BILLION, d, bytes_per_dim=width)
        assert cost.record_bytes == shown.value("record")
        assert cost.ssd_bytes / 1e12 == pytest.approx(shown.value("ssd_tb"))
        assert cost.reads_per_query == pytest.approx(shown.value("reads"))
        assert cost.latency_ms == pytest.approx(shown.value("latency_ms"))
        if cost.records_per_sector:
            assert cost.qps == pytest.approx(shown.value("node_qps"))


@given(n=st.integers(1, 10**11), d=st.integers(16, 8192), width=st.sampled_from([1, 2, 4]), degree=st.integers(1, 128))
def test_records_fit_their_sectors(n: int, d: int, width: int, degree: int) -> None:
    cost = disk_graph(n, d, bytes_per_dim=width, R=degree)
    assert n * cost.record_bytes <= cost.ssd_bytes + SECTOR_BYTES
    assert cost.ssd_bytes % SECTOR_BYTES == 0
    if cost.records_per_sector:
        assert cost.records_per_sector * cost.record_bytes <= SECTOR_BYTES < (cost.records_per_sector + 1) * cost.record_bytes


def test_more_reads_are_slower_and_more_in_flight_are_faster() -> None:
    plain, wide, beamed = disk_graph(BILLION, 768), disk_graph(BILLION, 768, L=200), disk_graph(BILLION, 768, beam=16)
    assert wide.latency_ms > 1.8 * plain.latency_ms - 0.4 and wide.qps == pytest.approx(plain.qps / 2)
    assert beamed.latency_ms < 0.5 * plain.latency_ms and beamed.qps == plain.qps


def test_a_record_of_two_sectors_halves_the_rate() -> None:
    one, two = disk_graph(BILLION, 768), disk_graph(BILLION, 1536)
    assert two.records_per_sector == 0
    assert two.qps == pytest.approx(one.qps / 2)


def test_what_binds_is_named() -> None:
    assert disk_graph(BILLION, 768).bound_by == "iops"
    assert disk_graph(BILLION, 768, cores=1).bound_by == "cpu"


@pytest.mark.parametrize(("values", "said"), [({"L": 0}, "L 0"), ({"iops": -1}, "iops -1"), ({"cached": 1.0}, "cached 1")])
def test_impossible_machines_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        disk_graph(BILLION, 768, **values)  # type: ignore[arg-type]
