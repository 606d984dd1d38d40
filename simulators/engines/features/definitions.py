"""One declarative definition of a feature view, and what makes two of them the same thing under different names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import yaml

from simulators.engines.features.windows import Op
from simulators.errors import InvalidInput

Mode = Literal["batch", "streaming", "on_demand"]
MAX_BYTES, MAX_FEATURES = 10_000, 100
NAME = re.compile(r"[A-Za-z][\w.]{0,99}")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3_600, "d": 86_400}
_OWNER = re.compile(r"\S.{0,99}")
_SOURCE = re.compile(r"\w\S{0,199}")
_OTHER_NAMES = {"ttl_s": "ttl", "sla_s": "sla", "window_s": "window", "filter": "where"}
_KNOWN = {"name", "version", "entity", "source", "timestamp", "created", "ttl", "features", "mode", "owner", "sla"}
_KNOWN_OF_FEATURE = {"op", "column", "window", "where"}


@dataclass(frozen=True)
class Feature:
    """`op` over `column` of the rows that meet `where`, in the last `window_s` seconds; op "value" serves the column as it is."""

    name: str
    op: str = "value"
    column: str = ""
    window_s: float | None = None
    where: str = ""

    @property
    def meaning(self) -> tuple[str, str, float, tuple[str, ...]]:
        """What is computed, whatever it is called: conditions in any order, spelling and spacing."""
        conditions = re.split(r"\band\b", " ".join(self.where.lower().split()))
        return self.op, self.column.lower(), float(self.window_s or 0), tuple(sorted(c.replace(" ", "") for c in conditions if c.strip()))


@dataclass(frozen=True)
class FeatureView:
    """Features of one entity from one source.

    entity    the key columns, a tuple; a single name may be given
    ttl_s     how old a value may be when it is joined or served; None: any age
    features  a tuple of `Feature`; a plain name may be given for one that is served as it is
    sla_s     freshness promised for the 99th percentile; None: nothing is promised
    """

    name: str
    entity: tuple[str, ...]
    source: str
    timestamp: str
    created: str | None
    ttl_s: float | None
    features: tuple[Feature, ...]
    mode: Mode
    owner: str
    sla_s: float | None = None
    version: int = 1
    fingerprint: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entity", (self.entity,) if isinstance(self.entity, str) else tuple(self.entity))
        features = (Feature(given, column=given) if isinstance(given, str) else given for given in self.features)
        object.__setattr__(self, "features", tuple(features))
        object.__setattr__(self, "fingerprint", self.fingerprint_from(self.source))

    def fingerprint_from(self, root_source: str) -> str:
        """Hash of root source, keys and what is computed (operation, column, window in seconds, filter); names and owner do not count."""
        return _digest([root_source, sorted(self.entity), sorted(feature.meaning for feature in self.features)])

    def feature_fingerprints(self, root_source: str) -> dict[str, str]:
        """The same for each feature alone, {name: hash}."""
        given = [root_source, sorted(self.entity)]
        return {feature.name: _digest([*given, feature.meaning]) for feature in self.features}

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @classmethod
    def from_yaml(cls, text: str) -> FeatureView:
        """Reads a definition of at most 10 kB:

            name: growth.user_clicks
            version: 1
            entity: user_id                  # or a list
            source: events.ad_clicks
            timestamp: event_timestamp
            created: ingested_at             # optional
            ttl: 14 d                        # s, min, h, d; optional, 0: any age
            mode: batch                      # batch, streaming, on_demand
            owner: growth
            sla: 1 h                         # optional
            features:
              clicks_7d: {op: count, window: 7 d, where: "is_bot = 0"}
              device: {}                     # served as it is

        Features may also be a list of names, or of such mappings with a `name`. ttl_s, sla_s and window_s stand for ttl, sla and window,
        filter for where; a duration without a unit is in seconds.

        Raises InvalidInput, whose field names the key, for what is missing, unknown or malformed.
        """
        given = _renamed(_mapping(_loaded(text), "The definition"))
        _only(given, _KNOWN, "the definition")
        return cls(
            name=_name(given, "name"),
            entity=tuple(_entity(given.get("entity"))),
            source=_text(given, "source", _SOURCE, "a letter or digit, then no blanks, at most 200 characters"),
            timestamp=_name(given, "timestamp"),
            owner=_text(given, "owner", _OWNER, "one line of at most 100 characters"),
            features=tuple(_features(given.get("features"))),
            created=_name(given, "created") if given.get("created") is not None else None,
            ttl_s=seconds(given["ttl"], "ttl") if given.get("ttl") not in (None, 0) else None,
            mode=_one_of(given.get("mode", "batch"), get_args(Mode), "mode"),
            sla_s=seconds(given["sla"], "sla") if given.get("sla") is not None else None,
            version=_version(given.get("version", 1)),
        )


def _digest(meaning: Any) -> str:
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]


def seconds(value: Any, field: str) -> float:
    """A duration such as "7 d", "90min" or 300 (seconds). Raises InvalidInput."""
    match = _DURATION.fullmatch(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    if match is None or match[2] not in _SECONDS:
        raise InvalidInput(f"{field} '{value}': use s, min, h or d.", field=field)
    found = float(match[1]) * _SECONDS[match[2]]
    if not 0 < found <= 3_650 * 86_400:
        raise InvalidInput(f"{field} '{value}' is {found:g} s; expected more than 0 and at most 10 years.", field=field)
    return found


def _loaded(text: str) -> Any:
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput(f"The definition has {len(text.encode()):,} bytes; at most {MAX_BYTES:,} are read.", field="definition")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InvalidInput("The definition uses a YAML alias (*name); write the value out.", field="definition")
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"Line {line} is not YAML: {error.problem}.", field="definition") from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"The definition is not YAML: {error}.", field="definition") from None


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{what} is not a mapping; expected lines of the form 'key: value'.", field="definition")
    return value


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise InvalidInput(f"{unknown[0]} is not a key of {where}; known are {', '.join(sorted(known))}.", field=unknown[0])


def _name(given: Mapping[str, Any], field: str) -> str:
    return _text(given, field, NAME, "a letter, then letters, digits, _ or ., at most 100 in all")


def _text(given: Mapping[str, Any], field: str, form: re.Pattern[str], expected: str) -> str:
    value = given.get(field)
    if value in (None, ""):
        raise InvalidInput(f"{field} is required.", field=field)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InvalidInput(f"{field} '{value}': expected {expected}.", field=field)
    return value


def _renamed(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same under the names used here. Raises InvalidInput where a key stands twice, once under either name."""
    twice = next((other for other, name in _OTHER_NAMES.items() if other in given and name in given), None)
    if twice is not None:
        raise InvalidInput(f"{twice} and {_OTHER_NAMES[twice]} are the same key; give one of them.", field=twice)
    return {_OTHER_NAMES.get(key, key): value for key, value in given.items()}


def _checked_name(value: Any, field: str) -> str:
    return _name({field: value}, field)


def _entity(value: Any) -> Sequence[str]:
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys:
        raise InvalidInput("entity is required: a key column, or a list of them.", field="entity")
    return [_checked_name(key, "entity") for key in keys]


def _features(value: Any) -> Sequence[Feature]:
    named = _by_name(value) if isinstance(value, list) else value
    if not isinstance(named, dict) or not 1 <= len(named) <= MAX_FEATURES:
        raise InvalidInput(f"features is required: 1 to {MAX_FEATURES} names, each with what it computes.", field="features")
    return [_feature(_checked_name(name, "features"), _mapping(body or {}, f"Feature {name}")) for name, body in named.items()]


def _by_name(listed: list[Any]) -> dict[str, Any]:
    """A list of names, or of mappings that hold one, as {name: what it computes}."""
    pairs = [(item, {}) if isinstance(item, str) else _named(_mapping(item, "A feature")) for item in listed]
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"Feature {twice} stands twice.", field="features")
    return dict(pairs)


def _named(item: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return _name(item, "name"), {key: value for key, value in item.items() if key != "name"}


def _feature(name: str, given: Mapping[str, Any]) -> Feature:
    body = _renamed(given)
    _only(body, _KNOWN_OF_FEATURE, f"feature {name}")
    op = _one_of(body.get("op", "value"), ("value", *get_args(Op)), "op")
    column = _checked_name(body["column"], "column") if body.get("column") is not None else ("" if op == "count" else name)
    window_s = seconds(body["window"], "window") if body.get("window") is not None else None
    if op != "value" and window_s is None:
        raise InvalidInput(f"Feature {name} has op {op} and no window; give one, as in window: 7 d.", field="window")
    where = body.get("where", "")
    if not isinstance(where, str) or len(where) > 500:
        raise InvalidInput(f"where of feature {name}: expected text of at most 500 characters.", field="where")
    return Feature(name, op, column, window_s, where)


def _one_of(value: Any, choices: Sequence[str], field: str) -> Any:
    if value not in choices:
        raise InvalidInput(f"{field} '{value}': expected one of {', '.join(choices)}.", field=field)
    return value


def _version(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"version '{value}': expected a whole number from 1.", field="version")
    return value
