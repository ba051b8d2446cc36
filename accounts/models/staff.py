"""Django's own tables of what staff may do, which keep their history too."""

from __future__ import annotations

from django.contrib.auth.models import Group

from accounts.models.people import User
from events.history import keeps_history


@keeps_history("groups", "{id}", row="{name}")
class StaffGroup(Group):
    """Django's group, seen by the database: what members of the staff may do who are not administrators."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "group"


@keeps_history("groups", "{group_id}", row="{permission_id}")
class StaffGroupPermission(Group.permissions.through):  # type: ignore[name-defined,misc]
    """A permission a group has."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "permission of a group"


@keeps_history("groups", "{group_id}", row="{user_id}")
class StaffGroupMember(User.groups.through):  # type: ignore[name-defined,misc]
    """A person in a group."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "member of a group"


@keeps_history("users", "{user_id}", row="{permission_id}")
class StaffPermission(User.user_permissions.through):  # type: ignore[name-defined,misc]
    """A permission a person has by themself."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "permission of a person"
