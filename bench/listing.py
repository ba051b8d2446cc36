"""GET /vms at 100,000 rows, beside the serializer alone and beside the same page at 1,000 rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from accounts.principal import Principal
from bench import plane
from bench.harness import claim, side_by_side, timed
from emulators.models import Console
from tests.factories import UserFactory
from tests.world import client_of
from vms import queries
from vms.api.serializers.machines import vm_serializer
from vms.lifecycle import Desired, Phase
from vms.models import VM, ProviderAccount

PAGE, FEW, MANY = 50, 1_000, 100_000


def fill(account: ProviderAccount, upto: int) -> None:
    """The newest few run with an attempt each, the rest is history."""
    now = timezone.now()
    console = Console.objects.get(pk="switch")
    missing = upto - VM.objects.count()
    VM.objects.bulk_create(
        (
            VM(
                console=console, desired=Desired.GONE, phase=Phase.DELETED, next_look_at=None, ended_at=now,
                created_at=now - timedelta(days=30, seconds=number),
            )
            for number in range(missing)
        ),
        batch_size=5_000,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def main() -> None:
    account = plane.prepare()
    plane.waiting_vms(account, 200, Phase.READY)
    sam = UserFactory(email="sam@gamer.test", is_staff=True)
    client = client_of(sam)

    def page() -> Any:
        answer = client.get("/vms", {"limit": PAGE})
        assert answer.status_code == 200, answer.content
        return answer

    fill(account, FEW)
    assert len(page().json()) == PAGE  # read once: taking JSON apart is the client's work
    at_few = timed(page, repeats=50, warm=5)
    fill(account, MANY)
    staff = Principal(user=sam)
    newest = queries.shown_vms(staff).order_by("-created_at", "-id")
    rows = list(newest[:PAGE])
    serializer = vm_serializer(staff)
    at_many, alone = side_by_side(
        page, lambda: JSONRenderer().render(serializer(rows, many=True).data), repeats=50
    )
    ratio, growth = at_many.median / alone.median, at_many.median / at_few.median
    claim(
        f"GET /vms at {MANY:,} rows, beside the serializer alone", f"{at_many.median * 1000:.1f} ms = {ratio:.2f} x",
        against=f"{alone.median * 1000:.1f} ms; at most 2.5 x", holds=ratio <= 2.5,
    )  # fmt: skip
    claim(
        f"the same page at {FEW:,} rows",
        f"{growth:.2f} x",
        against=f"{at_few.median * 1000:.1f} ms; at most 1.2 x",
        holds=growth <= 1.2,
    )
