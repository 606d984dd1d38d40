"""Claims, and everything that comes after the clock has stopped: scorecard, debrief, one's own judgement, exports."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api import score_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.views.attempts import TAG, own_attempt
from mlsd_app.interviews import export
from mlsd_app.interviews.debrief import Debrief, debrief_of
from mlsd_app.interviews.debrief.own import own_levels_set, result_reveal
from mlsd_app.interviews.interviewer.questions import constraints_confirm
from mlsd_app.interviews.models import Attempt, Claim
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring.claim_rows import claim_add, claim_change, claim_delete, claim_dict, claims_of, verdicts_visible

NOT_RELEASED = "The result of this interview has not been released yet."
NOT_OPEN = "This can be read once the interview is over and whoever set it has opened it."


class MarkdownRenderer(BaseRenderer):
    """Says that Markdown can be asked for; the view answers with the text itself."""

    media_type = "text/markdown"
    format = "md"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        return JSONRenderer().render(data)


class JsonLinesRenderer(MarkdownRenderer):
    media_type = "application/jsonl"
    format = "jsonl"


# --- claims ----------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List your claims",
    answers={200: shapes.ClaimAnswer(many=True)},
    errors=[404],
    operation_id="claims_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Mark a claim",
    request=shapes.ClaimRequest,
    answers={201: shapes.ClaimAnswer},
    errors=[404, 409, 423],
    operation_id="claims_add",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def claims(request: Request, attempt_id: UUID) -> Response:
    """Words of a saved text that a run should bear out; at most 40 in an interview."""
    now = timezone.now()
    found = own_attempt(request, attempt_id, now)
    if request.method == "GET":
        return Response([_claim(claim, found) for claim in claims_of(found)])
    asked = shapes.ClaimRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    return Response(_claim(claim_add(attempt=found, now=now, **asked.validated_data), found), status=201)


@operation(
    tag=TAG,
    summary="Change a claim",
    request=shapes.ClaimChange,
    answers={200: shapes.ClaimAnswer},
    errors=[404, 409, 423],
    operation_id="claims_change",
    methods=["PATCH"],
)
@operation(
    tag=TAG,
    summary="Delete a claim",
    answers={204: OpenApiResponse(description="Deleted.")},
    errors=[404, 409, 423],
    changes=True,
    operation_id="claims_delete",
    methods=["DELETE"],
)
@api_view(["PATCH", "DELETE"])
def claim(request: Request, attempt_id: UUID, claim_id: int) -> Response:
    """While the interview runs."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    found = claims_of(attempt).filter(pk=claim_id).first() if claim_id < 2**63 else None
    if found is None:
        raise Http404(f"This interview has no claim {claim_id}.")
    if request.method == "DELETE":
        claim_delete(claim=found, now=now)
        return Response(status=204)
    asked = shapes.ClaimChange(data=request.data)
    asked.is_valid(raise_exception=True)
    return Response(_claim(claim_change(claim=found, now=now, **asked.validated_data), attempt))


def _claim(found: Claim, attempt: Attempt) -> dict[str, Any]:
    return claim_dict(found, visible=verdicts_visible(attempt))


@operation(
    tag=TAG,
    summary="Have the constraints read back",
    answers={200: shapes.ReadBack},
    errors=[404, 409, 423],
    changes=True,
    request=None,
    operation_id="constraints_confirm",
)
@api_view(["POST"])
def confirm(request: Request, attempt_id: UUID) -> Response:
    """Rows that say what is so are confirmed, rows that do not are corrected, the rest is left open. What is missing is not named."""
    now = timezone.now()
    said = constraints_confirm(attempt=own_attempt(request, attempt_id, now), now=now)
    return Response({"text": said.text, "rows": [asdict(row) for row in said.rows]})


# --- after the end ---------------------------------------------------------------------------------------------------


@operation(tag=TAG, summary="Read the scorecard", answers={200: shapes.ScorecardAnswer}, errors=[403, 404], operation_id="scorecard_read")
@api_view(["GET"])
def scorecard(request: Request, attempt_id: UUID) -> Response:
    """403 `not_released` before its release. Whoever reads it has opened it: one's own judgement given later counts as later."""
    now = timezone.now()
    found = debrief_of(own_attempt(request, attempt_id, now))
    if not found.score_shown or found.card.hidden:
        raise Refused("not_released", found.card.hidden or NOT_RELEASED, 403)
    result_reveal(attempt=found.attempt, now=now)
    return Response(shapes.ScorecardAnswer(found.card.as_dict()).data)


@operation(
    tag=TAG,
    summary="Judge yourself",
    request=shapes.OwnLevels,
    answers={200: shapes.OwnLevel(many=True)},
    errors=[404, 409],
    operation_id="self_assessment_set",
)
@api_view(["PUT"])
def self_assessment(request: Request, attempt_id: UUID) -> Response:
    """Once the interview is over. What was said before the scorecard was opened stays; the answer has all levels as they stand."""
    now = timezone.now()
    found = own_attempt(request, attempt_id, now)
    asked = shapes.OwnLevels(data=request.data)
    asked.is_valid(raise_exception=True)
    rows = own_levels_set(attempt=found, levels=asked.validated_data["levels"], now=now)
    return Response([{"subject": row.subject, "level": row.level, "before_reveal": row.before_reveal} for row in rows])


@operation(tag=TAG, summary="Read the debrief", answers={200: shapes.DebriefAnswer}, errors=[403, 404], operation_id="debrief_read")
@api_view(["GET"])
def debrief(request: Request, attempt_id: UUID) -> Response:
    """Time, words, facts, numbers, claims, events and design, without marks. 403 while the interview runs."""
    return Response(shapes.DebriefAnswer(_debrief(_open(request, attempt_id, timezone.now()))).data)


def _open(request: Request, attempt_id: UUID, now: datetime) -> Debrief:
    found = debrief_of(own_attempt(request, attempt_id, now))
    if not found.answers_shown:
        raise Refused("not_released", NOT_OPEN, 403)
    return found


def _debrief(found: Debrief) -> dict[str, Any]:
    pacing = found.pacing
    return {
        **{name: getattr(pacing, name) for name in ("active_s", "limit_s", "debt_s")},
        "phases": pacing.bars,
        "firsts": [{"title": first.title, "active_ms": first.ms} for first in pacing.firsts],
        "absolutes": [sentence.text for sentence in pacing.absolutes],
        "facts": found.facts,
        "numbers": found.numbers,
        "claims": [_claim(line.claim, found.attempt) for line in found.claims],
        "untested": found.untested,
        "events": [_event(line) for line in found.events],
        "checks": found.design.checks,
    }


def _event(line: Any) -> dict[str, Any]:
    told = {name: getattr(line.ball, name) for name in ("key", "text", "lab", "active_ms", "runs_used")}
    return {**told, "outcome": line.outcome[0], "took_s": line.took_s, "metrics": line.metrics}


@operation(
    tag=TAG,
    summary="Export as Markdown",
    answers={(200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR, description="To read, print or keep.")},
    errors=[403, 404],
    operation_id="export_markdown",
)
@api_view(["GET"])
@renderer_classes([MarkdownRenderer, JSONRenderer])
def export_md(request: Request, attempt_id: UUID) -> HttpResponseBase:
    """The write-up with lists, runs and claims; marks stand in it once you have opened the scorecard."""
    found = _open(request, attempt_id, timezone.now())
    return HttpResponse(export.markdown_of(found.attempt, own=True), content_type="text/markdown; charset=utf-8")


@operation(
    tag=TAG,
    summary="Export as JSON lines",
    answers={(200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR, description="One object a line.")},
    errors=[403, 404],
    operation_id="export_jsonl",
)
@api_view(["GET"])
@renderer_classes([JsonLinesRenderer, JSONRenderer])
def export_jsonl(request: Request, attempt_id: UUID) -> HttpResponseBase:
    """The attempt, every event, every write that reached the server: enough to see it again second by second."""
    found = _open(request, attempt_id, timezone.now())
    return StreamingHttpResponse(export.jsonl_of(found.attempt, own=True), content_type="application/jsonl; charset=utf-8")
