"""The caller's own data sets."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import Http404
from rest_framework import status
from rest_framework.decorators import api_view, parser_classes
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import present
from mlsd_app.api import serializers as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.views.labs import lab_or_404
from mlsd_app.runs.datasets import dataset_create, dataset_delete
from mlsd_app.runs.selectors import datasets_of
from simulators.errors import InvalidInput

OPTION = "option-"
UPLOAD_FORM = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 200, "description": "What you call it; default: the file's name."}},
        "additionalProperties": {
            "type": "string",
            "format": "binary",
            "description": "A file for each slot of the lab's data; options as option-<key>.",
        },
    }
}


@operation(tag="data sets", summary="List your data sets", answers={200: shapes.DatasetAnswer(many=True)}, operation_id="datasets_list")
@api_view(["GET"])
def datasets(request: Request) -> Response:
    """Newest first. There are at most 20."""
    return Response([present.dataset_answer(item) for item in datasets_of(user=cast(User, request.user))])


@operation(
    tag="data sets",
    summary="Upload a data set",
    request=UPLOAD_FORM,
    answers={201: shapes.DatasetAnswer},
    errors=[404],
    operation_id="datasets_upload",
)
@api_view(["POST"])
@parser_classes([MultiPartParser])
def upload(request: Request, problem: str, lab: str) -> Response:
    """The files are checked before anything is stored; what is wrong is named with file, line and column."""
    found = lab_or_404(problem, lab)
    texts = {key: str(value) for key, value in request.data.items() if key not in request.FILES}
    files = {key: file for key, file in request.FILES.items() if file}
    _check(texts, files)
    options = {key.removeprefix(OPTION): value for key, value in texts.items() if key.startswith(OPTION)}
    made = dataset_create(user=cast(User, request.user), lab=found, files=files, options=options, name=texts.get("name", ""))
    return Response(present.dataset_answer(made), status=status.HTTP_201_CREATED)


def _check(texts: dict[str, str], files: dict[str, Any]) -> None:
    for key, text in texts.items():
        if "\x00" in text:
            raise InvalidInput(f"{key} has a NUL character; expected text.", field=key)
    if not files:
        raise InvalidInput("No file arrived; send each file under the name of its slot.")


@operation(tag="data sets", summary="Delete a data set", answers={204: None}, errors=[404], changes=True, operation_id="datasets_delete")
@api_view(["DELETE"])
def dataset(request: Request, dataset_id: UUID) -> Response:
    """With its files, and with the runs and results made from it."""
    found = datasets_of(user=cast(User, request.user)).filter(pk=dataset_id).first()
    if found is None:
        raise Http404("There is no such data set among yours. GET /api/v1/datasets lists them.")
    dataset_delete(dataset=found)
    return Response(status=status.HTTP_204_NO_CONTENT)
