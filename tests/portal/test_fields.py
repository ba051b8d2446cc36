"""What describes a form's field to those who do not see the page is on the page."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.world import World


def described(page: str) -> tuple[set[str], set[str]]:
    """The ids that fields of the page name, and those of them that nothing has."""
    named = {one for ids in re.findall(r'aria-describedby="([^"]+)"', page) for one in ids.split()}
    return named, named - set(re.findall(r'id="([^"]+)"', page))


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("vms/vm/preview/?console=switch&latitude=north", None),
        ("billing/usageday/?start=never", None),
        ("billing/creditaccount/give-to/", {"amount_usd": "much"}),
        ("accounts/user/{}/suspend/", {"reason": ""}),
    ],
)
def test_of_a_form_that_is_wrong_is_described(
    world: World, sam: Client, path: str, typed: dict[str, str] | None
) -> None:
    url = f"/admin/{path.format(world.alice.pk)}"
    answer = sam.get(url) if typed is None else sam.post(url, typed)
    named, missing = described(answer.content.decode())
    assert {one.rpartition("_")[2] for one in named} >= {"error"}
    assert not missing
