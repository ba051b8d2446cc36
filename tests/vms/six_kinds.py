"""All six kinds of provider at once, as an installation with every credential has them: TensorDock is the sandbox, the five
clouds sell all shipped machine types in all shipped regions by way of the tool's stand-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from emulators.services import seed
from locations import regions
from sandbox.testing import SandboxServer
from tests.vms.providers.cloudypad_vendor import COMMAND, vendor_in
from vms import machine_types, provider_accounts
from vms.models import CLOUD_KINDS
from vms.reconcile.loop import Reconciler

KINDS = ("tensordock", *CLOUD_KINDS)
CANARY = "six-canary-4e51"
CREDENTIALS = {
    "cloudypad_gcp": {"project_id": "p", "service_account": CANARY},
    "cloudypad_aws": {"access_key_id": "a", "secret_access_key": CANARY},
    "cloudypad_azure": {"subscription_id": "s", "client_secret": CANARY},
    "cloudypad_paperspace": {"api_key": CANARY},
    "cloudypad_scaleway": {"project_id": "p", "secret_key": CANARY},
}


def open_all(settings: Any, folder: Path, tensordock: SandboxServer) -> None:
    """Seeds as every start does, and has the reconciler fetch what everybody sells."""
    settings.ENV = replace(
        settings.ENV,
        cloudypad_bin=COMMAND,
        cloudypad_home=str(folder / "homes"),
        clouds=CREDENTIALS,
        tensordock_api_token=tensordock.token,
        tensordock_api_url=tensordock.base_url,
    )
    vendor_in(folder / "homes")
    now = timezone.now()
    seed(now)
    regions.seed(now)
    machine_types.seed(now)
    provider_accounts.seed(now)
    fetch()


def fetch(now: datetime | None = None) -> None:
    """One turn of the reconciler, in this thread."""
    Reconciler(clock=timezone.now if now is None else lambda: now, threads=0).turn()
