"""The waiting queue: a skew heap through the request records, so that thousands may wait on any replica without moving an array.

Skew heap: Sleator and Tarjan, "Self-adjusting heaps", 1986. Push and pop take amortised logarithmic time.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import part
from simulators.engines.serving.state import NOBODY, PRIORITY, SJF, SLO, SRPT, VTC, Records, Sim

OUTPUT_WEIGHT = 2.0  # an output token costs about twice a prompt token (VTC, section 3)


@part
def before(requests: Records, a: int, b: int) -> bool:
    if requests[a].key != requests[b].key:
        return requests[a].key < requests[b].key
    return requests[a].tie < requests[b].tie


@part
def merge(requests: Records, a: int, b: int) -> int:
    """Root of the heap that holds both: walk down the right spines, swapping the children of every node passed."""
    if a == NOBODY or b == NOBODY:
        return max(a, b)
    if before(requests, b, a):
        a, b = b, a
    root = a
    while True:
        right = requests[a].right
        requests[a].right = requests[a].left
        if right == NOBODY:
            requests[a].left = b
            return root
        if before(requests, b, right):
            right, b = b, right
        requests[a].left = right
        a = right


@part
def order_key(sim: Sim, i: int) -> float:
    """Smaller goes first; equal keys go by arrival."""
    request, order = sim.requests[i], sim.world[0].order
    if order == PRIORITY:
        return request.rank
    if order == SJF:
        return float(request.prompt)
    if order == SRPT:  # waiting requests age alike, so their order never changes: tokens - aging x (now - arrival)
        return request.prompt - request.processed + sim.world[0].aging_tokens_per_s * request.arrival_s
    if order == SLO:
        return request.arrival_s + request.ttft_slo_s
    return 0.0


@part
def enqueue(sim: Sim, r: int, i: int) -> None:
    """A request that has not run yet joins the waiting queue."""
    request = sim.requests[i]
    lane = 0
    if sim.world[0].order == VTC:
        lane = request.tenant
        _lift(sim, r, lane)
    request.key = order_key(sim, i)
    request.tie = i
    push(sim, r, lane, i)


@part
def requeue(sim: Sim, r: int, i: int) -> None:
    """An evicted request returns to the front, the latest first; by its key where the order itself says who was least urgent."""
    request, order = sim.requests[i], sim.world[0].order
    sim.replicas[r].restarts += 1
    request.key, request.tie = -math.inf, -sim.replicas[r].restarts
    if order in (PRIORITY, SRPT):
        request.key, request.tie = order_key(sim, i), i
    push(sim, r, request.tenant if order == VTC else 0, i)


@part
def push(sim: Sim, r: int, lane: int, i: int) -> None:
    sim.requests[i].left = sim.requests[i].right = NOBODY
    sim.heads[r, lane] = merge(sim.requests, sim.heads[r, lane], i)
    sim.replicas[r].waiting += 1


@part
def first_lane(sim: Sim, r: int) -> int:
    """Whose queue is served next: there is one, or under `vtc` one a tenant and the least served goes first."""
    if sim.world[0].order != VTC:
        return 0
    best = NOBODY
    for lane in range(sim.heads.shape[1]):
        if sim.heads[r, lane] != NOBODY and (best == NOBODY or sim.service[r, lane] < sim.service[r, best]):
            best = lane
    return max(best, 0)


@part
def peek(sim: Sim, r: int) -> int:
    """The request to be admitted next, NOBODY if none waits."""
    return sim.heads[r, first_lane(sim, r)]


@part
def pop(sim: Sim, r: int) -> int:
    lane = first_lane(sim, r)
    i = sim.heads[r, lane]
    sim.heads[r, lane] = merge(sim.requests, sim.requests[i].left, sim.requests[i].right)
    sim.replicas[r].waiting -= 1
    return i


@part
def serve(sim: Sim, r: int, i: int, tokens: float) -> None:
    """Virtual token counter: what a tenant received, over its weight."""
    tenant = sim.requests[i].tenant
    sim.service[r, tenant] += tokens / sim.weights[tenant]


@part
def _lift(sim: Sim, r: int, lane: int) -> None:
    """A tenant that had nothing waiting starts at the least served of those that have: idle time earns no credit."""
    if sim.heads[r, lane] != NOBODY:
        return
    least = math.inf
    for other in range(sim.heads.shape[1]):
        if sim.heads[r, other] != NOBODY:
            least = min(least, sim.service[r, other])
    if least < math.inf:
        sim.service[r, lane] = max(sim.service[r, lane], least)
