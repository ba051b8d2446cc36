"""What a process imports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gamer.env import ROOT

CODE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
import django
django.setup()
from django.urls import reverse
print("vms.admin.fleet" in sys.modules, reverse("admin:vms_vm_changelist"))
"""


@pytest.mark.parametrize(
    ("process", "has_pages"),
    [("api", True), ("command", True), ("worker", False), ("reconciler", False)],
)
def test_pages_are_left_until_an_address_is_asked_for_where_nobody_is_answered(
    process: str, has_pages: bool
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env={**os.environ, "GAMER_PROCESS": process},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == [str(has_pages), "/admin/vms/vm/"]
