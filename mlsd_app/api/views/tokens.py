"""API tokens. Only a browser session may make and revoke them: a token that leaked must not make more of its kind."""

from __future__ import annotations

from typing import cast

from django.http import Http404
from rest_framework import status
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.accounts.selectors import tokens_of
from mlsd_app.accounts.services import token_create, token_revoke
from mlsd_app.api import serializers as shapes
from mlsd_app.api.authentication import SessionOnly
from mlsd_app.api.operations import operation


@operation(tag="tokens", summary="List your tokens", answers={200: shapes.Token(many=True)}, operation_id="tokens_list", methods=["GET"])
@operation(
    tag="tokens",
    summary="Make a token",
    request=shapes.TokenRequest,
    answers={201: shapes.TokenCreated},
    operation_id="tokens_create",
    methods=["POST"],
)
@api_view(["GET", "POST"])
@authentication_classes([SessionOnly])
def tokens(request: Request) -> Response:
    """At most ten. The token stands in the answer to its creation and is shown nowhere else."""
    user = cast(User, request.user)
    if request.method == "GET":
        return Response(shapes.Token(tokens_of(user=user), many=True).data)
    asked = shapes.TokenRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    made, secret = token_create(user=user, name=asked.validated_data["name"])
    return Response({**shapes.Token(made).data, "token": secret}, status=status.HTTP_201_CREATED)


@operation(tag="tokens", summary="Revoke a token", answers={204: None}, errors=[404], changes=True, operation_id="tokens_revoke")
@api_view(["DELETE"])
@authentication_classes([SessionOnly])
def token(request: Request, token_id: int) -> Response:
    """It stops working at once."""
    found = tokens_of(user=cast(User, request.user)).filter(pk=token_id).first() if token_id < 2**63 else None
    if found is None:
        raise Http404("There is no such token among yours.")
    token_revoke(token=found)
    return Response(status=status.HTTP_204_NO_CONTENT)
