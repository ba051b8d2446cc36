"""`/auth`: signing up, logging in and out, passwords, and one's own profile."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import logins, passwords, signup
from accounts.api import examples
from accounts.api.permissions import PeopleOnly
from accounts.api.serializers import (
    CredentialsSerializer,
    LoginSerializer,
    PasswordChangeSerializer,
    ProfileChangesSerializer,
    ProfileSerializer,
    RefreshSerializer,
    ResetConfirmationSerializer,
    ResetRequestSerializer,
    SignupSerializer,
    TokensSerializer,
)
from accounts.models import User
from accounts.principal import principal_of
from gamer.web.reading import body_of, expect_nothing
from gamer.web.schema import errors
from gamer.web.serializers import MessageSerializer
from gamer.web.throttles import client_ip

TAGS = ["auth"]
NO_STORE = {"Cache-Control": "no-store"}
RESET_ASKED = "If somebody has this address, a mail is on its way."


class _AuthView(APIView):
    """Public: whatever credentials come along are not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def answer(self, body: dict[str, Any], status: int = 200) -> Response:
        return Response(body, status=status, headers=NO_STORE)


class SignupView(_AuthView):
    @extend_schema(
        operation_id="signup",
        tags=TAGS,
        request=SignupSerializer,
        responses={201: LoginSerializer, **errors(409)},
        examples=[examples.SIGNUP, examples.SIGNED_UP],
    )
    def post(self, request: Request) -> Response:
        """A new player, who is logged in at once."""
        asked = body_of(request, SignupSerializer).validated_data
        tokens = signup.sign_up(**asked, ip=client_ip(request), now=timezone.now())
        return self.answer(dict(LoginSerializer(tokens).data), 201)


class LoginView(_AuthView):
    @extend_schema(
        operation_id="login",
        tags=TAGS,
        request=CredentialsSerializer,
        responses={200: LoginSerializer, **errors(401)},
        examples=[
            examples.CREDENTIALS,
            examples.CREDENTIALS_AND_CODE,
            examples.LOGGED_IN,
            examples.CODE_WANTED,
        ],
    )
    def post(self, request: Request) -> Response:
        """An access token for five minutes, and a refresh token.

        A 401 whose detail `otp` is `required` or `wrong` asks for a one-time code beside the password.
        """
        given = body_of(request, CredentialsSerializer).validated_data
        tokens = logins.log_in(**given, ip=client_ip(request), now=timezone.now())
        return self.answer(dict(LoginSerializer(tokens).data))


class _TokenView(_AuthView):
    """Paced by the token it takes, not by where it comes from: a house full of players would end each other's logins."""

    throttle_classes = ()


class RefreshView(_TokenView):
    @extend_schema(
        operation_id="refresh",
        tags=TAGS,
        request=RefreshSerializer,
        responses={200: TokensSerializer, **errors(401)},
        examples=[examples.REFRESH, examples.REFRESHED],
    )
    def post(self, request: Request) -> Response:
        """The next pair of tokens. A refresh token is good once; used again it ends the login."""
        asked = body_of(request, RefreshSerializer)
        given = asked.validated_data["refresh"]
        tokens = logins.refresh(token=given, ip=client_ip(request), now=timezone.now())
        return self.answer(dict(TokensSerializer(tokens).data))


class LogoutView(_TokenView):
    @extend_schema(
        operation_id="logout",
        tags=TAGS,
        request=RefreshSerializer,
        responses={204: None, **errors(401)},
        examples=[examples.REFRESH],
    )
    def post(self, request: Request) -> Response:
        """Ends the login, its access token included."""
        asked = body_of(request, RefreshSerializer)
        given = asked.validated_data["refresh"]
        logins.log_out(token=given, ip=client_ip(request), now=timezone.now())
        return Response(status=204)


class PasswordResetView(_AuthView):
    @extend_schema(
        operation_id="ask_password_reset",
        tags=TAGS,
        request=ResetRequestSerializer,
        responses={202: MessageSerializer},
        examples=[examples.RESET_WISH, examples.RESET_ASKED],
    )
    def post(self, request: Request) -> Response:
        """Has a mail sent with a way to a new password. The same answer for every address."""
        asked = body_of(request, ResetRequestSerializer).validated_data
        passwords.ask_reset(email=asked["email"], ip=client_ip(request), now=timezone.now())
        return self.answer({"message": RESET_ASKED}, 202)


class PasswordResetConfirmView(_AuthView):
    @extend_schema(
        operation_id="confirm_password_reset",
        tags=TAGS,
        request=ResetConfirmationSerializer,
        responses={204: None},
        examples=[examples.RESET],
    )
    def post(self, request: Request) -> Response:
        """Sets a new password with the token from the mail, which is good once. Every login ends."""
        asked = body_of(request, ResetConfirmationSerializer).validated_data
        passwords.reset(token=asked["token"], new=asked["new_password"], now=timezone.now())
        return Response(status=204)


class _OwnView(APIView):
    """For people in person."""

    permission_classes = (PeopleOnly,)

    def person(self, request: Request) -> User:
        user = principal_of(request).user
        assert user is not None  # PeopleOnly
        return user


class LogoutAllView(_OwnView):
    @extend_schema(operation_id="logout_all", tags=TAGS, request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Ends every login, this one included."""
        expect_nothing(request)
        by = principal_of(request)
        logins.log_out_everywhere(by=by, user=self.person(request), now=timezone.now())
        return Response(status=204)


class PasswordView(_OwnView):
    @extend_schema(
        operation_id="change_password",
        tags=TAGS,
        request=PasswordChangeSerializer,
        responses={200: TokensSerializer, 204: None},
        examples=[examples.PASSWORD_CHANGE, examples.REFRESHED],
    )
    def post(self, request: Request) -> Response:
        """Sets a new password. Every login ends, this one included: go on with the tokens that are answered.

        204 by the admin's cookie, which is answered anew.
        """
        asked = body_of(request, PasswordChangeSerializer).validated_data
        user = self.person(request)
        tokens = passwords.change(
            user=user,
            current=asked["current_password"],
            new=asked["new_password"],
            is_by_token=principal_of(request).login_id is not None,
            ip=client_ip(request),
            now=timezone.now(),
        )
        if tokens is None:
            update_session_auth_hash(request._request, user)
            return Response(status=204)
        return Response(TokensSerializer(tokens).data, headers=NO_STORE)


class ProfileView(_OwnView):
    @extend_schema(
        operation_id="get_profile", tags=TAGS, responses=ProfileSerializer, examples=[examples.PROFILE]
    )
    def get(self, request: Request) -> Response:
        """Who you are."""
        return Response(ProfileSerializer(self.person(request)).data)

    @extend_schema(
        operation_id="update_profile",
        tags=TAGS,
        request=ProfileChangesSerializer,
        responses=ProfileSerializer,
        examples=[examples.PROFILE_CHANGES, examples.PROFILE],
    )
    def patch(self, request: Request) -> Response:
        """Changes your name."""
        changes = body_of(request, ProfileChangesSerializer).validated_data
        user = signup.edit_profile(user=self.person(request), now=timezone.now(), **changes)
        return Response(ProfileSerializer(user).data)
