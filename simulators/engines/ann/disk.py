"""Cost of a graph on SSD: the DiskANN design (Jayaram Subramanya et al., NeurIPS 2019) as arithmetic.

The graph and the full vectors lie on the drive, one record a node: the vector and up to R neighbours. Codes in RAM steer the walk. Each
node the walk expands is one read of a 4 KiB sector, so a query makes about as many reads as its search list is long.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from simulators.errors import InvalidInput

SECTOR_BYTES = 4096
NEIGHBOUR_BYTES = 4


class DiskCost(NamedTuple):
    ssd_bytes: float  # of one copy, whole sectors
    ram_bytes: float  # of one copy: the codes
    reads_per_query: float
    latency_ms: float  # unloaded: rounds of reads one after the other, and the CPU time
    qps: float  # of one node
    bound_by: str  # "iops" or "cpu": what `qps` ends at
    record_bytes: int  # vector, degree and neighbours
    records_per_sector: int  # 0: a record takes several sectors


def disk_graph(
    n: int,
    d: int,
    *,
    bytes_per_dim: float = 4,
    R: int = 64,
    pq_bytes: int = 32,
    L: int = 100,
    beam: int = 4,
    read_us: float = 100,
    iops: float = 500_000,
    cores: int = 16,
    cpu_us: float = 400,
    cached: float = 0.05,
) -> DiskCost:
    """What a graph of n vectors in d dimensions takes of its machines.

    R         neighbours a node; L: nodes expanded by a query; beam: reads in flight at a time
    pq_bytes  code of a vector in RAM; cached: share of the reads answered from RAM
    read_us   of one sector; iops: sectors a second of a node; cpu_us: CPU time of a query over all its steps
    """
    _check(n=n, d=d, bytes_per_dim=bytes_per_dim, R=R, L=L, beam=beam, read_us=read_us, iops=iops, cores=cores, cpu_us=cpu_us)
    if not 0 <= cached < 1:
        raise InvalidInput(f"cached {cached:g} was given; expected a share from 0 up to, but not, 1", field="cached")
    record = math.ceil(d * bytes_per_dim) + NEIGHBOUR_BYTES * (R + 1)
    per_sector = SECTOR_BYTES // record
    sectors = math.ceil(n / per_sector) if per_sector else n * math.ceil(record / SECTOR_BYTES)
    reads = L * (1 - cached)
    latency_ms = (math.ceil(reads / beam) * read_us + cpu_us) / 1e3
    by_iops, by_cpu = iops / (reads * _sectors_of(record)), cores * 1e6 / cpu_us
    bound_by = "iops" if by_iops < by_cpu else "cpu"
    return DiskCost(sectors * SECTOR_BYTES, n * pq_bytes, reads, latency_ms, min(by_iops, by_cpu), bound_by, record, per_sector)


def _sectors_of(record: int) -> int:
    return math.ceil(record / SECTOR_BYTES)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise InvalidInput(f"{name} {value:g} was given; expected a number above 0", field=name)
