"""The OpenAPI schema turned into what the reference page shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

Schema = dict[str, Any]
EXAMPLES = {
    "problem": "vector_search",
    "lab": "index_tradeoffs",
    "key": "raw_vectors",
    "token_id": "1",
    "run_id": "$RUN",
    "dataset_id": "$DATASET",
    "attempt_id": "$ATTEMPT",
    "field": "text/clarify",
    "number": "1",
    "claim_id": "1",
    "export_id": "1",
    "kind": "responses",
    "sitting_id": "$SITTING",
    "response_id": "1",
    "challenge": "recall_on_a_diet",
    "submission_id": "$SUBMISSION",
}
TAGS = ("problems", "labs", "runs", "data sets", "challenges", "interviews", "quiz", "cohorts", "grading", "tokens")
MAX_DEPTH = 4
ONE_LINE = 100  # characters of an example that need no break
UPLOAD = "-F base=@base.fvecs -F option-metric=l2"
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

    @property
    def words(self) -> str:
        """What one may say of it before it is opened."""
        kind = f", {self.media}" if self.media not in ("", "application/json") else ""
        return {"200": "Answer", "201": "Created", "202": "Accepted", "204": "Done, without a body"}[self.status] + kind


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

    @property
    def anchor(self) -> str:
        return self.title.replace(" ", "-")


@cache
def reference() -> tuple[OperationGroup, ...]:
    """Operations by tag, in the order one needs them."""
    schema = SchemaGenerator().get_schema(public=True)
    found: dict[str, list[Operation]] = {tag: [] for tag in TAGS}
    for path, methods in schema["paths"].items():
        for method, declared in methods.items():
            found[declared["tags"][0]].append(_operation(schema, path, method, declared))
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
        parameters=tuple(_parameter(item) for item in sorted(declared.get("parameters", []), key=lambda item: path.find(item["name"]))),
        body=tuple(_rows(schema, body, sent=True)),
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
    kind = f"{_kind(declared['schema'])}{_bounds(declared['schema'])}, {where}"
    return Row(declared["name"], kind, _help(declared), bool(declared.get("required")))


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


def _rows(schema: Schema, shape: Schema, depth: int = 0, *, sent: bool = False) -> Iterator[Row]:
    shape = _resolved(schema, shape)
    if shape.get("type") == "array":
        yield from _rows(schema, shape["items"], depth, sent=sent)
    required = shape.get("required", [])
    for name, declared in shape.get("properties", {}).items():
        field = _resolved(schema, declared)
        kind = _kind(field, schema) + (_bounds(field) if sent else "")
        yield Row(name, kind, _help(declared), name in required, depth)
        if depth < MAX_DEPTH:
            yield from _rows(schema, field, depth + 1, sent=sent)


def _kind(shape: Schema, schema: Schema | None = None) -> str:
    kind = shape.get("type", "any")
    if kind == "array":
        inner = _resolved(schema, shape["items"]) if schema else shape["items"]
        return f"list of {_kind(inner, schema)}"
    words = str(shape.get("format") or kind).replace("date-time", "time").replace("int64", "integer")
    if shape.get("enum"):
        words = " | ".join(str(value) for value in shape["enum"] if value not in (None, ""))
    return f"{words} or null" if shape.get("nullable") else words


def _bounds(shape: Schema) -> str:
    """What a value that is sent must keep to."""
    bounds = f", at most {shape['maxLength']} characters" if shape.get("maxLength") else ""
    if {"minimum", "maximum"} <= set(shape):
        bounds = f", {shape['minimum']} to {shape['maximum']}"
    default = shape.get("default")
    return bounds if default in (None, "", {}) else f"{bounds}, default {json.dumps(default)}"


def _help(declared: Schema) -> str:
    """The description without the list of choices that the generator adds below it."""
    return str(declared.get("description") or "").partition("\n\n* `")[0].partition("* `")[0]


# --- examples --------------------------------------------------------------------------------------------------------


def example(base: str) -> str:
    """The way of a run in one piece, ready to be pasted."""
    runs = f"$LOOP45/api/v1/labs/{EXAMPLES['problem']}/{EXAMPLES['lab']}/runs"
    read_id = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"id\"])'"
    return "\n".join(
        [
            f"export LOOP45={base} LOOP45_TOKEN=l45_...",
            "",
            f"RUN=$(curl -s {AS_MYSELF} -H 'Content-Type: application/json' \\",
            f"""  -d '{{"params": {{}}, "seed": 7}}' "{runs}" \\""",
            f"  | {read_id})",
            f'curl -sN {AS_MYSELF} "$LOOP45/api/v1/runs/$RUN/events"',
            f'curl -s {AS_MYSELF} "$LOOP45/api/v1/runs/$RUN/result"',
        ]
    )


def _curl(path: str, method: str, media: str, schema: Schema, body: Schema, declared: Schema) -> str:
    for name, value in EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    words = ["curl -N" if "text/event-stream" in str(declared["responses"]) else "curl"]
    if method != "get" and not body:
        words[0] += f" -X {method.upper()}"
    words += _signed_in(method, declared)
    if media == "application/json":
        words += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(_example(_resolved(schema, body)))}'"]
    if media == "multipart/form-data":
        words.append(UPLOAD)
    words.append(f'"$LOOP45{path}"')
    one_line = " ".join(words)
    return one_line if len(one_line) <= ONE_LINE else " \\\n  ".join(words)


def _signed_in(method: str, declared: Schema) -> list[str]:
    match _sign_in(declared.get("security", [])):
        case "Token or browser session":
            return [AS_MYSELF]
        case "Browser session only":
            return ["-b cookies.txt", *(['-H "X-CSRFToken: $CSRF"'] if method != "get" else [])]
    return []


def _example(shape: Schema) -> Schema:
    """A body that shows the fields one usually sends."""
    given = {"params": {}, "seed": 7, "inputs": {}, "name": "notebook"}
    return {name: given[name] for name in shape.get("properties", {}) if name in given}
