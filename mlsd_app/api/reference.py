"""The OpenAPI schema turned into what the reference page shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

Schema = dict[str, Any]
EXAMPLES = {"problem": "vector_search", "lab": "index_tradeoffs", "key": "memory", "token_id": "1"}
MAX_DEPTH = 4
AS_MYSELF = '-H "Authorization: Bearer $LOOP45_TOKEN"'


@dataclass(frozen=True)
class Row:
    """A parameter of an operation or a field of a shape; `depth` indents fields of fields."""

    name: str
    kind: str
    help: str
    required: bool
    depth: int = 0


@dataclass(frozen=True)
class Answer:
    status: str
    meaning: str
    media: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    text: str
    sign_in: str
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    answers: tuple[Answer, ...]
    errors: tuple[Answer, ...]
    curl: str


@dataclass(frozen=True)
class OperationGroup:
    title: str
    operations: tuple[Operation, ...]


@cache
def reference() -> tuple[OperationGroup, ...]:
    """Operations by tag, in the order of their paths."""
    schema = SchemaGenerator().get_schema(public=True)
    found: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        for method, declared in methods.items():
            found.setdefault(declared["tags"][0], []).append(_operation(schema, path, method, declared))
    return tuple(OperationGroup(title, tuple(operations)) for title, operations in found.items())


def _operation(schema: Schema, path: str, method: str, declared: Schema) -> Operation:
    answers = [_answer(schema, status, answer) for status, answer in declared["responses"].items()]
    media, body = _body(declared)
    return Operation(
        id=declared["operationId"],
        method=method.upper(),
        path=path,
        summary=declared["summary"],
        text=declared.get("description", ""),
        sign_in=_sign_in(declared.get("security", [])),
        parameters=tuple(_parameter(item) for item in declared.get("parameters", [])),
        body=tuple(_rows(schema, body)),
        answers=tuple(answer for answer in answers if answer.status < "4"),
        errors=tuple(answer for answer in answers if answer.status >= "4"),
        curl=_curl(path, method, media, schema, body, declared),
    )


def _sign_in(security: list[Schema]) -> str:
    if {} in security:
        return "No sign-in needed"
    schemes = {name for entry in security for name in entry}
    return "Token or browser session" if "token" in schemes else "Browser session only"


def _parameter(declared: Schema) -> Row:
    where = {"path": "in the path", "query": "in the query", "header": "header"}[declared["in"]]
    kind = f"{_kind(declared['schema'])}, {where}"
    return Row(declared["name"], kind, declared.get("description", ""), bool(declared.get("required")))


def _body(declared: Schema) -> tuple[str, Schema]:
    content = declared.get("requestBody", {}).get("content", {})
    media = next(iter(content), "")
    return media, content.get(media, {}).get("schema", {})


def _answer(schema: Schema, status: str, answer: Schema) -> Answer:
    media = next(iter(answer.get("content", {})), "")
    shape = answer.get("content", {}).get(media, {}).get("schema", {})
    rows = _rows(schema, shape) if status < "4" else ()
    return Answer(status, answer.get("description", ""), media, tuple(rows))


# --- shapes ----------------------------------------------------------------------------------------------------------


def _resolved(schema: Schema, shape: Schema) -> Schema:
    """The shape behind `$ref`, with the help text that stands beside the reference."""
    parts = shape.get("allOf") or shape.get("oneOf") or [shape]
    if "$ref" not in parts[0]:
        return shape
    target: Schema = schema["components"]["schemas"][parts[0]["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in shape.items() if key == "description"}}


def _rows(schema: Schema, shape: Schema, depth: int = 0) -> Iterator[Row]:
    shape = _resolved(schema, shape)
    if shape.get("type") == "array":
        yield from _rows(schema, shape["items"], depth)
    required = shape.get("required", [])
    for name, declared in shape.get("properties", {}).items():
        field = _resolved(schema, declared)
        yield Row(name, _kind(field, schema), declared.get("description") or "", name in required, depth)
        if depth < MAX_DEPTH:
            yield from _rows(schema, field, depth + 1)


def _kind(shape: Schema, schema: Schema | None = None) -> str:
    kind = shape.get("type", "any")
    if kind == "array":
        inner = _resolved(schema, shape["items"]) if schema else shape["items"]
        return f"list of {_kind(inner, schema)}"
    words = [str(shape.get("format") or kind).replace("date-time", "time"), _bounds(shape)]
    if shape.get("enum"):
        words = [" | ".join(str(value) for value in shape["enum"] if value not in (None, ""))]
    return " ".join([*filter(None, words), *(["or null"] if shape.get("nullable") else [])])


def _bounds(shape: Schema) -> str:
    low, high = shape.get("minimum"), shape.get("maximum")
    if shape.get("maxLength"):
        return f"of at most {shape['maxLength']} characters"
    return f"{low} to {high}" if low is not None and high is not None else ""


# --- examples --------------------------------------------------------------------------------------------------------


def _curl(path: str, method: str, media: str, schema: Schema, body: Schema, declared: Schema) -> str:
    for name, value in EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    path = path.replace("{run_id}", "$RUN").replace("{dataset_id}", "$DATASET")
    words = ["curl"]
    if method != "get" and not body:
        words.append(f"-X {method.upper()}")
    if {} not in declared.get("security", []):
        words.append(AS_MYSELF if "token" in {name for entry in declared["security"] for name in entry} else "-b cookies.txt")
    if media == "application/json":
        words += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(_example(_resolved(schema, body)))}'"]
    if media == "multipart/form-data":
        words.append("-F vectors=@base.fvecs")
    if "text/event-stream" in str(declared["responses"].get("200", {})):
        words.append("-N")
    return " \\\n  ".join([" ".join(words[:2]), *words[2:], f'"$LOOP45{path}"'])


def _example(shape: Schema) -> Schema:
    """A body that shows the fields one usually sends."""
    given = {"params": {}, "seed": 7, "inputs": {}, "name": "notebook"}
    return {name: given[name] for name in shape.get("properties", {}) if name in given}
