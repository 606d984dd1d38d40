"""Layouts of an online feature store on a key-value server that speaks redis-py's commands.

    view_hash   a hash a view and entity, a field a feature                 Feast's and most hand-made stores
    row_hash    a hash an entity, fields of all views                       one command an entity
    blob        one string an entity: all views packed                      one command for all entities, rewritten whole on every write
    split_blob  two strings an entity: batch views, streaming views         a streaming write leaves the batch part alone

What a read costs is not bytes but commands and round trips: the client builds and parses each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.features.times import NEVER, US_PER_S, times_of
from simulators.errors import InvalidInput

Layout = Literal["view_hash", "row_hash", "blob", "split_blob"]
Access = Literal["serial", "per_view", "one_pipeline"]
Schema = Mapping[str, Sequence[str]]
Floats = NDArray[np.float64]
WORD = 8  # bytes of a value, and of a time
_STAMP = b"_ts"


@dataclass(frozen=True)
class OnlineRead:
    """What a request got and what it took.

    values (k, f) in the order asked for, NaN where nothing is stored; age_s (k, v) of each view asked for, in the schema's order, NaN
    where it holds nothing; round_trips and commands sent; bytes of payload received.
    """

    values: Floats
    age_s: Floats
    round_trips: int
    commands: int
    bytes: int


class Group(NamedTuple):
    """Views that are packed into one string: a time a view, then the features of all."""

    name: str
    views: tuple[str, ...]


class OnlineStore:
    """A store of the views in `schema`, {view: features}, under keys that start with `prefix`.

    client     redis-py's `mget`, `hmget`, `hset`, `set`, `pipeline`, answering in bytes; with `expire_s` also `expire`
    streaming  the views that `split_blob` keeps apart
    expire_s   time to live of every key written; None keeps them
    clock      seconds since 1970, for ages
    """

    def __init__(
        self,
        client: Any,
        schema: Schema,
        layout: Layout = "view_hash",
        prefix: str = "",
        *,
        streaming: Collection[str] = (),
        expire_s: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if layout not in get_args(Layout):
            raise InvalidInput(f"layout is '{layout}'; expected one of {', '.join(get_args(Layout))}.", field="layout")
        if not schema or not all(schema.values()):
            raise InvalidInput(
                "The schema names no view, or a view without features; expected at least one feature a view.", field="schema"
            )
        self.schema = {view: tuple(features) for view, features in schema.items()}
        self.layout, self.streaming = layout, frozenset(streaming)
        for view in self.streaming:
            self._features_of(view)
        self._client, self._prefix, self._expire_s, self._clock = client, prefix, expire_s, clock

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, view: str, keys: Iterable[Any], values: ArrayLike, event_ts: Any) -> int:
        """Stores the features (n, f) of `view` for entities (n,) as of event_ts (n,), or one time for all; the payload bytes written.

        A later write replaces an earlier one, whatever their event times: whoever writes keeps the order of a key. Blobs hold other views
        too, so they are read first and written back whole.
        """
        entities, rows = list(keys), np.asarray(values, dtype=float)
        stamps = times_of(event_ts if np.ndim(event_ts) else [event_ts] * len(entities))
        if rows.shape != (len(entities), len(self._features_of(view))) or len(stamps) != len(entities):
            expected = f"({len(entities)}, {len(self._features_of(view))}) values and {len(entities)} times"
            raise InvalidInput(
                f"{rows.shape} values and {len(stamps)} times were given for view {view}; expected {expected}.", field="values"
            )
        if self.layout in ("view_hash", "row_hash"):
            return self._write_hashes(view, entities, rows, stamps)
        return self._write_blobs(view, entities, rows, stamps)

    def _write_hashes(self, view: str, entities: list[Any], rows: Floats, stamps: NDArray[np.int64]) -> int:
        fields, pipe, written = self._fields(view, self.schema[view]), self._client.pipeline(transaction=False), 0
        for entity, row, stamp in zip(entities, rows, stamps, strict=True):
            payload = [stamp.tobytes(), *(value.tobytes() for value in row)]
            pipe.hset(self._hash_key(view, entity), mapping=dict(zip(fields, payload, strict=True)))
            if self._expire_s is not None:
                pipe.expire(self._hash_key(view, entity), self._expire_s)
            written += WORD * len(payload)
        pipe.execute()
        return written

    def _write_blobs(self, view: str, entities: list[Any], rows: Floats, stamps: NDArray[np.int64]) -> int:
        group = next(group for group in self.groups if view in group.views)
        keys = [self._blob_key(group, entity) for entity in entities]
        blobs = _unpacked(self._client.mget(keys) if keys else [], 1, self._width(group)).copy()
        at = group.views.index(view)
        blobs[:, at] = stamps.view(np.float64)
        blobs[:, self._columns(group, view)] = rows
        pipe = self._client.pipeline(transaction=False)
        for key, blob in zip(keys, blobs, strict=True):
            pipe.set(key, blob.tobytes(), **({} if self._expire_s is None else {"ex": self._expire_s}))
        pipe.execute()
        return int(blobs.nbytes)

    # --- reading -------------------------------------------------------------------------------------------------------

    def read(self, keys: Iterable[Any], features: Sequence[str], *, access: Access = "one_pipeline") -> OnlineRead:
        """The features, each "view:feature" or a name only one view has, of entities (k,).

        access  serial: a round trip a command; per_view: a pipeline a view (or blob); one_pipeline: everything in one
        Raises InvalidInput for a feature the schema does not hold, before anything is sent.
        """
        if access not in get_args(Access):
            raise InvalidInput(f"access is '{access}'; expected one of {', '.join(get_args(Access))}.", field="access")
        wanted = [self.resolve(feature) for feature in features]
        entities = list(keys)
        views = [view for view in self.schema if any(view == owner for owner, _ in wanted)]
        if not entities or not wanted:
            return OnlineRead(np.empty((len(entities), len(wanted))), np.empty((len(entities), len(views))), 0, 0, 0)
        if self.layout in ("view_hash", "row_hash"):
            return self._read_hashes(entities, wanted, views, access)
        return self._read_blobs(entities, wanted, views, access)

    def _read_hashes(self, entities: list[Any], wanted: list[tuple[str, str]], views: list[str], access: Access) -> OnlineRead:
        """Each command answers [time, feature, ...] of one view, or of all views one after the other."""
        asked = {view: [feature for owner, feature in wanted if owner == view] for view in views}
        parts = [[view] for view in views] if self.layout == "view_hash" else [views]
        fields = [[field for view in part for field in self._fields(view, asked[view])] for part in parts]
        commands = [
            [("hmget", self._hash_key(part[0], entity), names) for entity in entities] for part, names in zip(parts, fields, strict=True)
        ]
        replies, trips = self._send(commands, access)
        words = [list(chain.from_iterable(reply)) for reply in replies]
        table = np.hstack([_unpacked(part, len(part) // len(entities), 1) for part in words])
        starts = list(accumulate((1 + len(asked[view]) for view in views), initial=0))[:-1]
        column = {
            (view, feature): start + 1 + i for view, start in zip(views, starts, strict=True) for i, feature in enumerate(asked[view])
        }
        return self._answer(table, [column[one] for one in wanted], starts, trips, sum(map(len, commands)), _payload(words))

    def _read_blobs(self, entities: list[Any], wanted: list[tuple[str, str]], views: list[str], access: Access) -> OnlineRead:
        groups = [group for group in self.groups if set(group.views) & set(views)]
        if access == "serial":
            commands = [[("mget", [self._blob_key(group, entity)]) for entity in entities] for group in groups]
            answers, trips = self._send(commands, access)
            replies = [[reply[0] for reply in part] for part in answers]
            sent = sum(map(len, commands))
        else:
            replies, trips = self._fetch_blobs(groups, entities, access)
            sent = len(groups) if access == "per_view" else 1
        table = np.hstack([_unpacked(reply, 1, self._width(group)) for group, reply in zip(groups, replies, strict=True)])
        starts = list(accumulate((self._width(group) for group in groups), initial=0))
        place = {view: (start, group) for group, start in zip(groups, starts, strict=False) for view in group.views}
        stamps = [place[view][0] + place[view][1].views.index(view) for view in views]
        columns = [place[view][0] + self._columns(place[view][1], view).start + self.schema[view].index(f) for view, f in wanted]
        return self._answer(table, columns, stamps, trips, sent, _payload(replies))

    def _fetch_blobs(self, groups: list[Group], entities: list[Any], access: Access) -> tuple[list[list[bytes | None]], int]:
        if access == "per_view":
            return [self._client.mget([self._blob_key(group, entity) for entity in entities]) for group in groups], len(groups)
        flat = self._client.mget([self._blob_key(group, entity) for group in groups for entity in entities])
        return [flat[i : i + len(entities)] for i in range(0, len(flat), len(entities))], 1

    def _send(self, commands: list[list[tuple[Any, ...]]], access: Access) -> tuple[list[list[Any]], int]:
        """The replies, list for list, and the round trips they took."""
        if access == "serial":
            return [[getattr(self._client, name)(*rest) for name, *rest in part] for part in commands], sum(map(len, commands))
        if access == "per_view":
            return [self._pipelined(part) for part in commands], len(commands)
        flat = iter(self._pipelined([command for part in commands for command in part]))
        return [[next(flat) for _ in part] for part in commands], 1

    def _pipelined(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for name, *rest in commands:
            getattr(pipe, name)(*rest)
        answers: list[Any] = pipe.execute()
        return answers

    def _answer(self, table: Floats, columns: list[int], stamps: list[int], trips: int, commands: int, payload: int) -> OnlineRead:
        written = np.ascontiguousarray(table[:, stamps]).view(np.int64)
        absent = (written == _NOTHING_STAMP) | (written == NEVER)
        age_s = np.where(absent, np.nan, self._clock() - written / US_PER_S)
        return OnlineRead(table[:, columns], age_s, trips, commands, payload)

    # --- names and places ----------------------------------------------------------------------------------------------

    def resolve(self, feature: str) -> tuple[str, str]:
        """(view, feature) of "view:feature", or of a bare name that only one view has."""
        view, colon, name = feature.partition(":")
        if colon:
            if name not in self._features_of(view):
                raise InvalidInput(f"Feature {name} is not in view {view}; it has {', '.join(self.schema[view])}.", field="features")
            return view, name
        owners = [view for view, names in self.schema.items() if feature in names]
        if len(owners) != 1:
            found = f"is in the views {', '.join(owners)}; name one, as in {owners[0]}:{feature}" if owners else "is in no view"
            raise InvalidInput(f"Feature {feature} {found}.", field="features")
        return owners[0], feature

    def _features_of(self, view: str) -> tuple[str, ...]:
        if view not in self.schema:
            raise InvalidInput(f"There is no view {view}; the views are {', '.join(self.schema)}.", field="features")
        return self.schema[view]

    @property
    def groups(self) -> tuple[Group, ...]:
        """The strings an entity has in a blob layout."""
        if self.layout == "blob":
            return (Group("all", tuple(self.schema)),)
        batch, stream = (tuple(v for v in self.schema if (v in self.streaming) is apart) for apart in (False, True))
        return tuple(group for group in (Group("batch", batch), Group("stream", stream)) if group.views)

    def keys_of(self, entity: Any) -> list[str]:
        """The keys an entity has, if it is stored whole."""
        if self.layout in ("view_hash", "row_hash"):
            return list(dict.fromkeys(self._hash_key(view, entity) for view in self.schema))
        return [self._blob_key(group, entity) for group in self.groups]

    def _hash_key(self, view: str, entity: Any) -> str:
        return f"{self._prefix}{view}:{entity}" if self.layout == "view_hash" else f"{self._prefix}{entity}"

    def _blob_key(self, group: Group, entity: Any) -> str:
        return f"{self._prefix}{group.name}:{entity}"

    def _fields(self, view: str, features: Sequence[str]) -> list[bytes]:
        names = [_STAMP, *(feature.encode() for feature in features)]
        return names if self.layout == "view_hash" else [view.encode() + b":" + name for name in names]

    def _width(self, group: Group) -> int:
        return len(group.views) + sum(len(self.schema[view]) for view in group.views)

    def _columns(self, group: Group, view: str) -> slice:
        before = sum(len(self.schema[other]) for other in group.views[: group.views.index(view)])
        start = len(group.views) + before
        return slice(start, start + len(self.schema[view]))


_NOTHING = np.float64(np.nan).tobytes()
_NOTHING_STAMP = int(np.float64(np.nan).view(np.int64))


def _unpacked(words: Sequence[bytes | None], per_row: int, width: int) -> Floats:
    """Replies as numbers, `per_row` replies of `width` numbers a row; NaN where there was none. Times are int64 behind a float64's bits."""
    nothing = _NOTHING * width
    packed = b"".join([nothing if word is None else word for word in words])
    if len(packed) != len(words) * len(nothing):
        raise InvalidInput(
            f"What is stored does not fit the schema: {len(packed):,} bytes in {len(words)} values, expected {len(nothing)} bytes each."
        )
    return np.frombuffer(packed, dtype=float).reshape(-1, per_row * width)


def _payload(replies: Sequence[Sequence[bytes | None]]) -> int:
    return sum(len(word) for reply in replies for word in reply if word is not None)
