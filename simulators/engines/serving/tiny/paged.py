"""Paged keys and values (PagedAttention, Kwon et al., SOSP 2023): blocks of tokens, block tables, and attention that reads through them.

`BlockPool` is the bookkeeping (who holds which block, which blocks hold a known prefix), `PagedKV` the memory, `PagedAttention` one step's
attention over any mix of prompt chunks and single tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from simulators.engines.serving.tiny.model import Shape

Key = bytes


class BlockPool:
    """Blocks 0 ... num_blocks - 1. A block has users (sequences whose tables name it), or lies idle with a known content, or is free.

    A full block of prompt is known by a hash of its tokens and of all before them. Idle blocks are reused when asked for again, and
    overwritten, least recently used first, when memory is needed.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks, self.block_size = num_blocks, block_size
        self._free = list(range(num_blocks - 1, -1, -1))
        self._users = [0] * num_blocks
        self._block_of: dict[Key, int] = {}
        self._key_of: dict[int, Key] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()

    @property
    def available(self) -> int:
        return len(self._free) + len(self._idle)

    @property
    def in_use(self) -> int:
        return self.num_blocks - self.available

    def take(self, count: int) -> list[int]:
        """`count` blocks to write in; there must be that many available."""
        return [self._one() for _ in range(count)]

    def _one(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._block_of[self._key_of.pop(block)]
        self._users[block] = 1
        return block

    def release(self, blocks: Sequence[int]) -> None:
        """One user less for each. Ends of prefixes become the first to be overwritten, since they serve the fewest."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                if block in self._key_of:
                    self._idle[block] = None
                else:
                    self._free.append(block)

    def known(self, keys: Iterable[Key]) -> list[int]:
        """Blocks of the longest known beginning of `keys`."""
        found = []
        for key in keys:
            if key not in self._block_of:
                break
            found.append(self._block_of[key])
        return found

    def idle_among(self, blocks: Sequence[int]) -> int:
        """How many of the blocks nobody uses now: using them makes that many fewer available."""
        return sum(self._users[block] == 0 for block in blocks)

    def share(self, blocks: Sequence[int]) -> None:
        """One user more for each of these known blocks."""
        for block in blocks:
            self._users[block] += 1
            self._idle.pop(block, None)

    def remember(self, key: Key, block: int) -> None:
        """The block now holds what `key` names. The first block of a content stays its block."""
        if key not in self._block_of and block not in self._key_of:
            self._block_of[key], self._key_of[block] = block, key


def prefix_keys(tokens: Sequence[int], block_size: int) -> list[Key]:
    """One key for each full block of the tokens, chained: equal keys mean equal tokens from the very beginning."""
    keys, before = [], b""
    for end in range(block_size, len(tokens) + 1, block_size):
        before = blake2b(before + np.asarray(tokens[end - block_size : end], np.int32).tobytes(), digest_size=16).digest()
        keys.append(before)
    return keys


class PagedKV:
    """The memory: `keys` and `values` (layers, kv_heads, num_blocks * block_size, head_dim), float32."""

    def __init__(self, shape: Shape, num_blocks: int, block_size: int) -> None:
        self.shape, self.block_size = shape, block_size
        size = (shape.layers, shape.kv_heads, num_blocks * block_size, shape.head_dim)
        self.keys, self.values = torch.zeros(size), torch.zeros(size)  # pages of the machine's memory are touched only when written


class Span(NamedTuple):
    """Tokens of one sequence in one step: `rows` of them, the first at position `start`, of the sequence with block table `blocks`."""

    start: int
    rows: int
    blocks: Sequence[int]


class Group(NamedTuple):
    """Spans with equally many rows, computed together."""

    spans: int
    rows: int
    table: Tensor  # (spans, blocks of the longest)
    mask: Tensor | None  # (spans, 1, rows, positions): minus infinity where a key is later than its query or no key at all


class PagedAttention:
    """Attention of one step: every token's key and value go to their slots, every query reads its own sequence's blocks.

    Spans must come sorted by rows; the step's tokens lie in the same order. `Attend` of `model`.
    """

    def __init__(self, kv: PagedKV, spans: Sequence[Span]) -> None:
        self.kv = kv
        self.slots = torch.from_numpy(np.concatenate([_slots(span, kv.block_size) for span in spans]))
        starts = [i for i in range(len(spans)) if i == 0 or spans[i].rows != spans[i - 1].rows]
        self.groups = [_group(spans[a:b], kv.block_size) for a, b in zip(starts, [*starts[1:], len(spans)], strict=True)]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self.kv.keys[layer], self.kv.values[layer]
        keys.index_copy_(1, self.slots, k.transpose(0, 1))
        values.index_copy_(1, self.slots, v.transpose(0, 1))
        mixed, row = [], 0
        for group in self.groups:
            count = group.spans * group.rows
            mixed.append(self._mix(group, q[row : row + count], keys, values))
            row += count
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

    def _mix(self, group: Group, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Query heads that share a KV head become further query rows of it: its keys are read once, and never copied for each head."""
        shape, (n, rows) = self.kv.shape, (group.spans, group.rows)
        queries = (
            q.view(n, rows, shape.kv_heads, shape.group, -1).permute(2, 0, 3, 1, 4).reshape(shape.kv_heads * n, shape.group * rows, -1)
        )
        scores = torch.bmm(queries * shape.head_dim**-0.5, self._read(keys, group).transpose(1, 2))
        if group.mask is not None:
            scores.view(shape.kv_heads, n, shape.group, rows, -1).add_(group.mask)
        mixed = torch.bmm(scores.softmax(dim=-1), self._read(values, group))
        return mixed.view(shape.kv_heads, n, shape.group, rows, -1).permute(1, 3, 0, 2, 4).reshape(n * rows, -1)

    def _read(self, memory: Tensor, group: Group) -> Tensor:
        """(kv_heads * spans, positions, head_dim) through the block tables."""
        blocks = memory.view(self.kv.shape.kv_heads, -1, self.kv.block_size, self.kv.shape.head_dim)
        found = blocks.index_select(1, group.table.flatten())
        return found.view(self.kv.shape.kv_heads * group.spans, -1, self.kv.shape.head_dim)


def _slots(span: Span, block_size: int) -> np.ndarray:
    positions = np.arange(span.start, span.start + span.rows)
    return np.asarray(span.blocks, np.int64)[positions // block_size] * block_size + positions % block_size


def _group(spans: Sequence[Span], block_size: int) -> Group:
    rows = spans[0].rows
    ends = np.array([span.start + rows for span in spans])
    width = -(-int(ends.max()) // block_size)
    table = np.zeros((len(spans), width), np.int64)
    for i, span in enumerate(spans):
        held = span.blocks[:width]
        table[i, : len(held)] = held
    last = ends[:, None] - rows + np.arange(rows)  # (spans, rows): the last position each query may see
    hidden = np.arange(width * block_size) > last[:, :, None]
    mask = torch.from_numpy(np.where(hidden, -np.inf, 0.0).astype(np.float32))[:, None] if hidden.any() else None
    return Group(len(spans), rows, torch.from_numpy(table), mask)
