"""Staff's pages for people, departments and keys. What a page does beyond its own row is a call of a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import logins, services
from accounts.models import ApiKey, Scope, User
from accounts.principal import Principal
from gamer.web.admin import BoundedAdmin

POWERS = ("is_staff", "is_superuser", "groups")

admin.site.unregister(Group)


def _principal(request: HttpRequest) -> Principal:
    assert isinstance(request.user, User)
    return Principal(user=request.user)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What members of the staff may do who are not administrators."""


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ("handle", "email", "department")


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BoundedAdmin):  # type: ignore[type-arg,misc]
    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("handle", "email", "department", "role", "is_postpaid", "is_active", "last_login")
    list_filter = ("is_staff", "is_active", "is_postpaid", "department")
    list_select_related = ("department",)
    search_fields = ("handle__startswith", "email__startswith")
    search_help_text = "The beginning of a user_id or an address"
    ordering = ("-id",)
    autocomplete_fields = ("department", "groups")
    filter_horizontal = ()
    readonly_fields = ("last_login", "created_at")
    fieldsets = (
        (None, {"fields": ("handle", "email", "password", ("first_name", "last_name"), "department")}),
        ("May", {"fields": ("is_active", "is_postpaid", *POWERS)}),
        ("When", {"fields": (("created_at", "last_login"),)}),
    )
    add_fieldsets = (
        (None, {"fields": ("handle", "email", "department", "usable_password", "password1", "password2")}),
    )
    actions = ("end_logins",)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who may edit people may not thereby become an administrator."""
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what somebody did stays theirs; they are made inactive

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else fields + POWERS

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            logins.end_all(user=obj)

    @admin.action(description="End all logins", permissions=["change"])
    def end_logins(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = [user for user in queryset if self.has_change_permission(request, user)]
        for user in users:
            logins.end_all(user=user)
        self.message_user(request, f"{len(users)} people have to log in again.", messages.SUCCESS)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget)

    class Meta:
        model = ApiKey
        fields = ("name", "department", "scopes", "expires_at")

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("This is in the past.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(BoundedAdmin):
    form = ApiKeyForm
    list_display = (
        "name",
        "prefix",
        "listed_scopes",
        "department",
        "maker",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = ("department",)
    list_select_related = ("department", "maker")
    search_fields = ("prefix__startswith", "name__startswith")
    autocomplete_fields = ("department",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Sequence[str]:
        return ("name", "department", "scopes", "expires_at") if obj is None else self.known_fields

    known_fields = (
        "name", "expires_at", "prefix", "listed_scopes", "department", "maker", "created_at", "last_used_at", "revoked_at",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Sequence[str]:
        return () if obj is None else self.known_fields[2:]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a revoked key explains the events it left

    @admin.display(description="scopes")
    def listed_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        principal = _principal(request)
        assert principal.user is not None
        key, secret = services.create_api_key(
            by=principal, maker=principal.user, now=timezone.now(), **form.cleaned_data
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        vars(obj)["secret"] = secret  # until response_add has shown it

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """The key's text, in the answer itself: a message would keep it in a cookie."""
        shown = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "key": obj,
            "title": f"Key {obj.name}",
        }
        shown["secret"] = vars(obj).pop("secret")
        response = TemplateResponse(request, "admin/accounts/apikey/created.html", shown)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("maker"):
            services.revoke_api_key(by=_principal(request), key=key, now=timezone.now())
        self.message_user(request, "The keys are revoked.", messages.SUCCESS)
