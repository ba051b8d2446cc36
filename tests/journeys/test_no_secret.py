"""One life of a VM with every secret known to the test: none of them comes out of any door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from events.models import Event
from tests.log_lines import written
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import PASSWORD, Clock, World
from vms.agents import register
from vms.models import VM, ProviderAccount
from vms.providers.base import Rejected

pytestmark = pytest.mark.django_db
VENDOR = "vendor-token-canary-4711"


@pytest.fixture
def plane(clock: Clock, db: None) -> ControlPlane:
    plane = prepare(clock)
    account = ProviderAccount.objects.get()
    account.credentials = {"token": VENDOR}
    account.save()
    return plane


def secrets_of(vm: VM, world: World) -> list[str]:
    keys = [vm.ssh_private_key.reveal(), vm.host_private_key.reveal(), vm.agent_bootstrap.reveal()]
    return [*keys, VENDOR, PASSWORD, world.alice.password, *world.secrets.values()]


def told(secrets: list[str], text: str) -> list[str]:
    """Which of the secrets a text holds, also as JSON writes them or only a long one's middle: a few letters prove nothing."""
    words = set(text.split())
    return [
        one[:30]
        for one in secrets
        if one in text or json.dumps(one)[1:-1] in text or (len(one) >= 80 and one[40:80] in words)
    ]


class TestNoSecret:
    def test_comes_out_of_any_door(self, plane: ControlPlane, world: World, as_sam: APIClient) -> None:
        page = Client()
        page.force_login(world.sam)
        with written() as log:
            plane.turn()
            vm = plane.until(plane.launch(world.alice), "running")
            secrets = secrets_of(vm, world)
            token = register(vm_id=vm.pk, bootstrap_token=secrets[2], ip="203.0.113.9", now=plane.clock())
            secrets.append(token)
            self.let_it_go_wrong(plane, world, token)
            answers = self.every_answer(as_sam, page, vm)
        timeline = json.dumps(list(Event.timeline.values("actor", "resource_id", "details")), default=str)
        assert len(answers) > 15
        assert Event.timeline.filter(is_change=True, details__row__startswith="provider account").exists()
        for path, text in answers.items():
            assert told(secrets, text) == [], path
        assert told(secrets, timeline) == []
        bugs = [line for line in log.lines if line["event"].startswith("bug in create")]
        assert bugs
        assert all(line["vm"] in line["event"] and "Traceback" in line["exception"] for line in bugs)
        assert told(secrets, log.getvalue()) == []
        assert told(secrets, self.whole_database()) == []

    def let_it_go_wrong(self, plane: ControlPlane, world: World, token: str) -> None:
        """Errors whose texts hold what a vendor or a bug might put there."""
        dict(ProviderAccount.objects.get().credentials)  # opened, as an adapter does
        plane.launch(world.bob)

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError(f"bug at {VENDOR} with {token} and Bearer {token}")

        provider = plane.reconciler.open_provider
        plane.actor.open_provider = lambda account: _Broken(provider(account), broken)  # type: ignore[assignment,return-value]
        plane.settle(seconds=30)
        plane.actor.open_provider = provider
        refused = Rejected(f"your token {VENDOR} may not order")
        plane.actor.open_provider = lambda account: _Broken(provider(account), _raise(refused))  # type: ignore[assignment,return-value]
        plane.settle(seconds=60)
        plane.actor.open_provider = provider

    def every_answer(self, api: APIClient, page: Client, vm: VM) -> dict[str, str]:
        account = ProviderAccount.objects.get().pk
        paths = [
            f"/vms/{vm.pk}{part}" for part in ("", "/status", "/events", "/attempts", "/steps", "/connection")
        ]
        paths += ["/vms", "/config/providers", "/health?full=1", "/metrics", "/vms/nonsense"]
        found = {path: api.get(path).content.decode() for path in paths}
        pages = [
            "", "vms/vm/", f"vms/vm/{vm.pk}/change/", "vms/provideraccount/", f"vms/provideraccount/{account}/change/",
            "events/event/", "accounts/user/", "accounts/apikey/", "events/event/?resource=provider_accounts",
        ]  # fmt: skip
        for path in pages:
            answer = page.get(f"/admin/{path}")
            assert answer.status_code == 200, path
            found[path] = answer.content.decode()
        export = page.post("/admin/events/event/export/")
        found["export"] = b"".join(export.streaming_content).decode()
        return found

    def whole_database(self) -> str:
        """Every table as text: sealed columns are ciphertext here, and passwords and keys are hashes (asked separately)."""
        texts = []
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in cursor.fetchall():
                if table == "accounts_user":
                    cursor.execute("SELECT to_jsonb(t) - 'password' FROM accounts_user AS t")
                else:
                    cursor.execute(f'SELECT to_jsonb(t) FROM "{table}" AS t')
                texts += [json.dumps(row) for (row,) in cursor.fetchall()]
        return "\n".join(texts)


class _Broken:
    """A provider whose orders fail in a given way."""

    def __init__(self, provider: Any, create: Any) -> None:
        self._provider, self.create = provider, create

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


def _raise(error: Exception) -> Any:
    def create(*_: Any, **__: Any) -> Any:
        raise error

    return create
