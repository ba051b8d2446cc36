"""`/vms/{id}/pairing`: refusals here; a real pairing in tests/journeys/test_console.py."""

from __future__ import annotations

import pytest

from tests.bad_inputs import sweep_bodies
from tests.vms.api.asking import details, made, post, running
from tests.vms.setup.sshd import free_port
from vms.models import VM


@pytest.fixture
def vm(plane, as_alice) -> VM:
    """Alice's running VM, whose machine has gone out of reach."""
    vm = running(plane, as_alice)
    VM.objects.filter(pk=vm.pk).update(ip_address="127.0.0.1", ssh_port=free_port())
    return vm


class TestPairing:
    def test_is_not_there_before_the_vm_runs(self, plane, as_alice):
        vm = made(as_alice)
        for answer in (
            as_alice.get(f"/vms/{vm.pk}/pairing"),
            post(as_alice, f"/vms/{vm.pk}/pairing", {"pin": "1234"}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_state")

    def test_is_nobody_elses(self, vm, as_bob, as_charlie):
        for client in (as_bob, as_charlie):
            assert client.get(f"/vms/{vm.pk}/pairing").status_code == 404
            assert post(client, f"/vms/{vm.pk}/pairing", {"pin": "1234"}).status_code == 404

    def test_says_when_the_machine_does_not_answer(self, vm, as_alice):
        for answer in (
            as_alice.get(f"/vms/{vm.pk}/pairing"),
            post(as_alice, f"/vms/{vm.pk}/pairing", {"pin": "1234"}),
        ):
            assert answer.status_code == 503
            assert answer["Retry-After"] == "2"

    @pytest.mark.parametrize("pin", ["", "123", "12345", "12a4", "१२३४", 1234, None])
    def test_wants_four_digits(self, vm, as_alice, pin):
        assert "pin" in details(post(as_alice, f"/vms/{vm.pk}/pairing", {"pin": pin}))

    def test_refuses_what_is_malformed(self, vm, as_alice):
        assert sweep_bodies(as_alice, f"/vms/{vm.pk}/pairing", {"pin": "1234", "request_id": "x"}) > 10
