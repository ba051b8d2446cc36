"""`/auth`: login, refresh, logout."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import logins
from accounts.api.serializers import (
    CredentialsSerializer,
    LoginSerializer,
    RefreshSerializer,
    TokensSerializer,
)
from gamer.web.schema import errors
from gamer.web.throttles import client_ip


class _AuthView(APIView):
    """Public: whatever credentials come along are not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def answer(self, body: dict[str, Any], status: int = 200) -> Response:
        return Response(body, status=status, headers={"Cache-Control": "no-store"})


class LoginView(_AuthView):
    @extend_schema(
        operation_id="login",
        tags=["auth"],
        request=CredentialsSerializer,
        responses={200: LoginSerializer, **errors(401)},
    )
    def post(self, request: Request) -> Response:
        """An access token for five minutes, and a refresh token."""
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        tokens = logins.log_in(**credentials.validated_data, ip=client_ip(request), now=timezone.now())
        return self.answer(dict(LoginSerializer(tokens).data))


class RefreshView(_AuthView):
    @extend_schema(
        operation_id="refresh",
        tags=["auth"],
        request=RefreshSerializer,
        responses={200: TokensSerializer, **errors(401)},
    )
    def post(self, request: Request) -> Response:
        """The next pair of tokens. A refresh token is good once; used again it ends the login."""
        asked = RefreshSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        tokens = logins.refresh(token=asked.validated_data["refresh"], now=timezone.now())
        return self.answer(dict(TokensSerializer(tokens).data))


class LogoutView(_AuthView):
    @extend_schema(
        operation_id="logout", tags=["auth"], request=RefreshSerializer, responses={204: None, **errors(401)}
    )
    def post(self, request: Request) -> Response:
        """Ends the login, its access token included."""
        asked = RefreshSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        logins.log_out(token=asked.validated_data["refresh"], now=timezone.now())
        return Response(status=204)
