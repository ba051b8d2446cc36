"""`/vms/{id}/pairing`: refusals here; a real pairing in tests/journeys/test_console.py."""

from __future__ import annotations

import socket

import pytest

from tests import ports
from tests.at_once import at_once
from tests.bad_inputs import sweep_bodies
from tests.vms.api.asking import details, made, post
from tests.world import client_of
from vms.models import VM


@pytest.fixture
def vm(played) -> VM:
    """Alice's running VM, whose machine has gone out of reach."""
    vm = VM.objects.get()
    VM.objects.filter(pk=vm.pk).update(ip_address="127.0.0.1", ssh_port=ports.closed())
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

    def test_counts_the_looks_of_a_caller_apart_from_their_pins(self, vm, as_alice, as_sam, settings):
        rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "pairing": "2/day"}
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
        path = f"/vms/{vm.pk}/pairing"
        assert [as_alice.get(path).status_code for _ in range(3)] == [503, 503, 429]
        refused = as_alice.head(path)
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 3600
        assert [post(as_alice, path, {"pin": "1234"}).status_code for _ in range(3)] == [503] * 3
        assert as_sam.get(path).status_code == 503

    @pytest.mark.django_db(transaction=True)
    def test_holds_one_web_process_per_silent_machine(self, vm, world):
        path = f"/vms/{vm.pk}/pairing"
        machine = socket.create_server(("127.0.0.1", 0))
        machine.settimeout(30)
        VM.objects.filter(pk=vm.pk).update(ssh_port=machine.getsockname()[1])

        client = client_of(world.alice)

        def meanwhile():
            held, _ = machine.accept()  # the first look is on its way
            machine.close()
            with held:
                return client.get(path), post(client, path, {"pin": "1234"})

        first, (second, pin) = at_once(lambda: client_of(world.alice).get(path), meanwhile)
        assert (second.status_code, second["Retry-After"]) == (429, "2")
        assert pin.status_code == 503  # asked, though somebody looks
        assert first.status_code == 503
        assert client_of(world.alice).get(path).status_code == 503  # nothing is held any more
