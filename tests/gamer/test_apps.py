"""What a process imports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gamer.env import ROOT

COMMAND = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
import django
django.setup()
from django.urls import reverse
print("vms.admin.fleet" in sys.modules, reverse("admin:vms_vm_changelist"))
"""
CHECKED = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
import django
django.setup()
from django.contrib import admin
from django.core.checks import run_checks
from unfold.admin import ModelAdmin
from vms.models import VM
is_loaded = "vms.admin.fleet" in sys.modules
ModelAdmin.list_display = ("nothing",)
print(is_loaded, sorted({found.id for found in run_checks(tags=["admin"])}), admin.site.is_registered(VM))
"""
SERVER = """
import sys
import {0}
from django.contrib import admin
from vms.models import VM
from events.auditing import Audited
print("vms.admin.fleet" in sys.modules, isinstance(admin.site.get_model_admin(VM), Audited))
"""


def told(code: str, **environment: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout.split()


@pytest.mark.parametrize("process", ["command", "worker", "reconciler"])
def test_pages_are_left_until_an_address_is_asked_for_where_nobody_is_answered(process: str) -> None:
    assert told(COMMAND, GAMER_PROCESS=process) == ["False", "/admin/vms/vm/"]


@pytest.mark.parametrize("server", ["gamer.wsgi", "gamer.asgi"])
def test_servers_have_all_pages_before_they_answer_each_one_audited(server: str) -> None:
    assert told(SERVER.format(server)) == ["True", "True"]


def test_checks_of_the_admin_see_all_pages() -> None:
    assert told(CHECKED, GAMER_PROCESS="command") == ["False", "['admin.E108']", "True"]
