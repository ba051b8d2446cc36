"""Staff's pages for people, departments and keys. What a page does beyond its own row is a call of a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from accounts import keys, lockout, logins, second_factor
from accounts.models import ApiKey, Scope, User
from accounts.pages.own import own_account
from accounts.principal import at_admin
from gamer.errors import GamerError
from gamer.web.admin import BoundedAdmin, ServiceAdmin
from gamer.web.confirming import PAGE, Question, asks, tell_it_was_so

POWERS = ("is_staff", "is_superuser", "groups")
END_LOGINS = Question(
    "End all logins",
    "They are logged out everywhere, here too, and have to log in again; a mailed way to a new password is good for nothing then. "
    "Their API keys go on.",
)
REMOVE_SECOND_FACTOR = Question(
    "Ask for no one-time code any more",
    "From then on their password alone lets them in, until they set up a new second step. For who lost theirs: make sure it is them.",
    is_dangerous=True,
)
REVOKE = Question(
    "Revoke",
    "It is refused from then on, for ever: what calls the API with it stops working. VMs that it launched go on.",
    is_dangerous=True,
)

admin.site.unregister(Group)
admin.site.unregister(StaticDevice)  # recovery codes are nobody's to edit


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What members of the staff may do who are not administrators."""

    empty_hint = "A group holds what members of the staff may do who are not administrators."


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
    actions = ("end_logins", "forgive_failures", "remove_second_factor")
    list_disable_select_all = True

    def get_urls(self) -> list[URLPattern]:
        own = path("account/", self.admin_site.admin_view(own_account), name="accounts_own")
        return [own, *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who may edit people may not thereby become an administrator."""
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what somebody did stays theirs; they are made inactive

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else fields + POWERS

    def _each(
        self, request: HttpRequest, queryset: QuerySet[User], act: Callable[[User], object], done: str
    ) -> None:
        """Does it to each of the chosen whom this member of the staff may change."""
        users = [user for user in queryset if self.has_change_permission(request, user)]
        for user in users:
            act(user)
        self.message_user(request, f"{len(users)} {done}", messages.SUCCESS)

    @admin.action(description=END_LOGINS.label, permissions=["change"])
    @asks(END_LOGINS)
    def end_logins(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        by, now = at_admin(request), timezone.now()
        end = partial(logins.log_out_everywhere, by=by, now=now)
        self._each(request, queryset, lambda user: end(user=user), "people have to log in again.")

    @admin.action(description="Forgive failed logins", permissions=["change"])
    def forgive_failures(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._each(
            request,
            queryset,
            lambda user: lockout.forgive_everywhere(user.email or ""),
            "people may try again.",
        )

    @admin.action(description=REMOVE_SECOND_FACTOR.label, permissions=["change"])
    @asks(REMOVE_SECOND_FACTOR)
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        remove = partial(second_factor.remove, by=at_admin(request), now=timezone.now())
        self._each(
            request, queryset, lambda user: remove(user=user), "people log in with their password only."
        )


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


class RotationForm(forms.Form):
    hours = forms.ChoiceField(
        label="The old text",
        choices=[(0, "ends now"), (1, "is good for another hour"), (24, "for a day"), (168, "for a week")],
        widget=UnfoldAdminSelectWidget,
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin):
    empty_hint = "A service that calls the API needs one. Its text is shown once, when it is made."
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
    search_fields = ("prefix__startswith", "name__startswith")
    autocomplete_fields = ("department",)
    actions = ("revoke",)
    list_disable_select_all = True
    actions_detail = ("rotate", "revoke_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """With its maker, on whom it depends who may change it: an action's question asks that of every key."""
        rows: QuerySet[ApiKey] = super().get_queryset(request)
        return rows.select_related("department", "maker")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Sequence[str]:
        return ("name", "department", "scopes", "expires_at") if obj is None else self.known_fields

    known_fields = (
        "name", "expires_at", "prefix", "listed_scopes", "department", "maker", "created_at", "last_used_at", "former_until",
        "revoked_at",
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
        by, now = at_admin(request), timezone.now()
        if change:
            # Only what was changed: of a key that has expired, the name is changed without a new expiry.
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            keys.update(by=by, key=obj, now=now, **changes)
            return
        assert by.user is not None
        key, secret = keys.create(by=by, maker=by.user, now=now, **form.cleaned_data)
        obj.pk = key.pk
        obj.refresh_from_db()
        vars(obj)["secret"] = secret  # until response_add has shown it

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        return self._show(request, obj, vars(obj).pop("secret"))

    def _show(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        """The key's text, in the answer itself: a message would keep it in a cookie."""
        shown = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "key": key,
            "title": f"Key {key.name}",
            "secret": secret,
        }
        response = TemplateResponse(request, "admin/accounts/apikey/created.html", shown)
        response.headers["Cache-Control"] = "no-store"
        return response

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Who knows a key's text has its maker's powers, so an administrator's are an administrator's. A revoked one stays so."""
        is_revoked = obj is not None and obj.revoked_at is not None
        return not is_revoked and self._reaches(request, obj)

    def _reaches(self, request: HttpRequest, key: ApiKey | None) -> bool:
        is_above = key is not None and key.maker.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, key) and not is_above

    def has_rotate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._reaches(request, self.get_object(request, object_id) if object_id else None)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """None for a revoked key. Whoever comes to one, from a page of before, is told: not by permissions, for then it would be
        said that one's login has none."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        key = self.get_object(request, object_id)
        return [] if key is not None and key.revoked_at is not None else offered

    @action(description="New text", icon="autorenew", permissions=["rotate"])  # type: ignore[untyped-decorator]
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks how long the old text stays good; POST shows the new one, once."""
        key = self.get_object(request, object_id)
        if key is None:
            raise Http404
        page = reverse("admin:accounts_apikey_change", args=[key.pk])
        form = RotationForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            grace = timedelta(hours=int(form.cleaned_data["hours"]))
            try:
                rotated, secret = keys.rotate(by=at_admin(request), key=key, grace=grace, now=timezone.now())
            except GamerError as error:
                messages.error(request, error.message)
                return HttpResponseRedirect(page)
            return self._show(request, rotated, secret)
        shown = {**self.admin_site.each_context(request), "key": key, "form": form, "back": page}
        return TemplateResponse(
            request, "admin/accounts/apikey/rotate.html", {**shown, "title": f"Key {key.name}"}
        )

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self.has_rotate_permission(request, object_id)

    @action(
        description=REVOKE.label,
        permissions=["revoke"],
        icon="block",
        variant=ActionVariant.DANGER,
        url_path="revoke",
    )  # type: ignore[untyped-decorator]
    def revoke_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does it."""
        key = self.get_object(request, object_id)
        if key is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        page = reverse("admin:accounts_apikey_change", args=[key.pk])
        if key.revoked_at is not None:
            tell_it_was_so(request, key)
            return HttpResponseRedirect(page)
        if request.method == "POST":
            keys.revoke(by=at_admin(request), key=key, now=timezone.now())
            messages.success(request, f"{key}: revoked.")
            return HttpResponseRedirect(page)
        shown = {**self.admin_site.each_context(request), "opts": self.opts, "original": key, "back": page}
        return TemplateResponse(request, PAGE, {**shown, "act": REVOKE, "title": f"{REVOKE.label}: {key}"})

    @admin.action(description=REVOKE.label, permissions=["change"])
    @asks(REVOKE)
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        chosen = [key for key in queryset if self.has_change_permission(request, key)]
        for key in chosen:
            keys.revoke(by=at_admin(request), key=key, now=timezone.now())
        self.message_user(request, f"{len(chosen)} keys are revoked.", messages.SUCCESS)
