"""The replay behind `hit_curve`, compiled; imported only where a curve is asked for.

One ordered list serves all three policies: the block to evict is at its head. FIFO leaves a block where it was inserted, LRU moves a block
that is used to the tail, LFU keeps the list ordered by uses and, among equals, by last use (Matani, Shah and Mitra, An O(1) algorithm for
implementing the LFU cache, 2021).
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.jit import compiled
from simulators.engines.serving.trace import Ints

LRU, FIFO, LFU = range(3)  # as in hit_curve.POLICIES


@compiled
def replay(blocks: Ints, ptr: Ints, after: Ints, before: Ints, uses: Ints, last: Ints, capacity: int, policy: int) -> int:
    known = len(uses)
    held = hits = 0
    for request in range(len(ptr) - 1):
        prompt = blocks[ptr[request] : ptr[request + 1]]
        for block in prompt:
            hits += uses[block] > 0
        for block in prompt:
            if uses[block] > 0:
                if policy != FIFO:
                    _touch(after, before, uses, last, block, policy, known)
                continue
            if held == capacity:
                _evict(after, before, uses, last, policy, known)
            else:
                held += 1
            _insert(after, before, uses, last, block, policy, known)
    return hits


@compiled
def _insert(after: Ints, before: Ints, uses: Ints, last: Ints, block: int, policy: int, end: int) -> None:
    uses[block] = 1
    place = before[end]
    if policy == LFU:
        place = last[1] if last[1] != end else end  # behind the others used once; nobody is: at the head
        last[1] = block
    _link(after, before, place, block)


@compiled
def _touch(after: Ints, before: Ints, uses: Ints, last: Ints, block: int, policy: int, end: int) -> None:
    if policy == LRU:
        _unlink(after, before, block)
        _link(after, before, before[end], block)
        return
    count = uses[block]
    place = last[count + 1] if last[count + 1] != end else last[count]
    if place == block:
        place = before[block]
    _leave(before, uses, last, block, end)
    _unlink(after, before, block)
    uses[block] = count + 1
    last[count + 1] = block
    _link(after, before, place, block)


@compiled
def _evict(after: Ints, before: Ints, uses: Ints, last: Ints, policy: int, end: int) -> None:
    victim = after[end]
    if policy == LFU:
        _leave(before, uses, last, victim, end)
    _unlink(after, before, victim)
    uses[victim] = 0


@compiled
def _leave(before: Ints, uses: Ints, last: Ints, block: int, end: int) -> None:
    """Nobody or the node before becomes the last one of this number of uses."""
    count = uses[block]
    if last[count] == block:
        previous = before[block]
        last[count] = previous if previous != end and uses[previous] == count else end


@compiled
def _link(after: Ints, before: Ints, place: int, block: int) -> None:
    """Behind `place`."""
    following = after[place]
    after[place] = block
    before[block] = place
    after[block] = following
    before[following] = block


@compiled
def _unlink(after: Ints, before: Ints, block: int) -> None:
    after[before[block]] = after[block]
    before[after[block]] = before[block]
