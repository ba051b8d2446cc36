"""CloudyPad's program as a driver: begun detached, read later, believed only when its own `get` proves it."""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vms.setup.sshd import Machine, end_process
from tests.waiting import eventually
from vms.providers.cloudypad.names import name_of
from vms.setup import Address, Cloudypad, SshError, Target, connect
from vms.setup.agent.files import is_locked
from vms.setup.drivers import choose
from vms.setup.drivers import cloudypad as cloudypad_driver
from vms.setup.drivers.cloudypad import CloudypadDriver, forget, kept
from vms.setup.site import Site, survey

# Behaves as 0.45.1 was seen to: creates exit 0 also when cancelled, `get` prints warnings before its JSON.
CLI = """#!{python}
import json, os, sys, time
home = os.environ["CLOUDYPAD_HOME"]
with open(os.path.join(home, "calls"), "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
does = open("{does}").read() if os.path.exists("{does}") else ""
verb, name = sys.argv[1], sys.argv[sys.argv.index("--name") + 1] if "--name" in sys.argv else sys.argv[2]
state = os.path.join(home, "instances", name, "state.yml")
if verb in ("create", "deploy"):
    print("key is", open(os.path.join(home, "key")).read())
    os.makedirs(os.path.dirname(state), exist_ok=True)
    if does == "cancels":
        print("Instance initialization cancelled.")
        sys.exit(0)
    open(state, "w").write("begun")
    if does == "hangs":
        time.sleep(600)
    if does == "fails":
        print("Ansible failed")
        sys.exit(1)
    open(state, "w").write("configured")
elif verb == "get":
    if does == "get hangs":
        time.sleep(600)
    if not os.path.exists(state):
        print("\x1b[31mERROR\x1b[39m Instance named '%s' does not exist." % name)
        sys.exit(1)
    if does.startswith("get says "):
        print(does[len("get says "):])
        sys.exit(1)
    is_there = open(state).read() == "configured"
    if int(os.environ["CLOUDYPAD_LOG_LEVEL"]) < 5:
        print("WARN {{")
        print("{{")
    print(json.dumps({{"status": {{"provisioned": is_there, "configured": is_there}}}}, indent=2))
"""


@pytest.fixture
def cloudypad(tmp_path: Path) -> Cloudypad:
    program = tmp_path / "cloudypad"
    program.write_text(CLI.format(python=sys.executable, does=tmp_path / "does"))
    program.chmod(0o755)
    return Cloudypad(str(program), str(tmp_path / "home"))


@pytest.fixture
def target(machine: Machine, cloudypad: Cloudypad) -> Target:
    return replace(machine.target(), tag="gamer-0a1b2c3d-0123456789ab-1", cloudypad=cloudypad, has_gpu=True)


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    with connect(machine.address, machine.user.private_openssh, machine.host.public_line) as shell:
        yield survey(shell)


@pytest.fixture
def driver(cloudypad: Cloudypad) -> CloudypadDriver:
    return CloudypadDriver(cloudypad)


def home(target: Target) -> Path:
    assert target.cloudypad is not None
    return Path(target.cloudypad.home) / name_of(target.tag)


def calls(target: Target) -> list[list[str]]:
    """What was called so far, whole: the file is there before its first line is."""
    path = home(target) / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ended(driver: CloudypadDriver, site: Site, target: Target) -> str:
    return eventually(lambda: (state := driver.look(site, target).state) != "running" and state)


class TestCloudypad:
    def test_is_begun_detached_and_then_has_the_rest_put_around_it(self, driver, site, target):
        assert driver.look(site, target).state == "idle"
        driver.begin(site, target)
        assert ended(driver, site, target) == "idle"
        (create, *gets) = calls(target)
        assert create[:4] == ["create", "ssh", "--name", name_of(target.tag)]
        assert {"--yes", "--skip-pairing", "--autostop=no"} <= set(create)
        assert {get[0] for get in gets} == {"get"}
        driver.begin(site, target)
        eventually(lambda: driver.look(site, target).state == "done", timeout_s=60)
        steps = driver.look(site, target).steps
        around = ["emulators", "saves", "clock", "monitor", "agent"]
        assert [step.name for step in steps] == ["cloudypad", *around]

    def test_may_be_a_program_with_arguments(self, site, target, cloudypad):
        cloudypad = replace(cloudypad, command=f"{sys.executable} '{cloudypad.command}'")
        driver, target = CloudypadDriver(cloudypad), replace(target, cloudypad=cloudypad)
        driver.begin(site, target)
        assert ended(driver, site, target) == "idle"
        assert calls(target)[0][:2] == ["create", "ssh"]

    @pytest.mark.parametrize("does", ["cancels", "fails"])
    def test_is_not_believed_its_exit_status(self, driver, site, target, tmp_path, does):
        (tmp_path / "does").write_text(does)
        driver.begin(site, target)
        assert ended(driver, site, target) == "failed"
        progress = driver.look(site, target)
        assert progress.step == "cloudypad"
        assert "PRIVATE KEY" not in progress.reason + progress.steps[0].log_tail

    def test_that_does_not_answer_in_time_is_asked_again(self, driver, site, target, tmp_path, monkeypatch):
        driver.begin(site, target)
        eventually(lambda: (home(target) / "exit.json").exists() and not is_locked(home(target) / "lock"))
        (tmp_path / "does").write_text("get hangs")
        monkeypatch.setattr(cloudypad_driver, "GET_S", 0.2)
        with pytest.raises(SshError, match="does not answer"):
            driver.look(site, target)
        (tmp_path / "does").write_text("")
        monkeypatch.undo()
        assert driver.look(site, target).state == "idle"

    @pytest.mark.parametrize(
        "says", ["", "Error: out of memory", '{\n  "status": {', "{\n}", "The key of ryan does not exist."]
    )
    def test_that_answers_what_cannot_be_read_is_asked_again(self, driver, site, target, tmp_path, says):
        driver.begin(site, target)
        eventually(lambda: (home(target) / "exit.json").exists() and not is_locked(home(target) / "lock"))
        (tmp_path / "does").write_text(f"get says {says}")
        with pytest.raises(SshError, match="cannot be read"):
            driver.look(site, target)
        (tmp_path / "does").write_text("")
        assert driver.look(site, target).state == "idle"

    def test_is_begun_once_while_it_lives(self, driver, site, target, tmp_path):
        (tmp_path / "does").write_text("hangs")
        driver.begin(site, target)
        eventually(lambda: calls(target) and driver.look(site, target).state == "running")
        driver.begin(site, target)
        assert len(calls(target)) == 1
        self.kill(target)

    def test_is_waited_for_until_it_says_more_or_ends(self, driver, site, target, tmp_path):
        (tmp_path / "does").write_text("hangs")
        driver.begin(site, target)
        eventually(lambda: calls(target) and driver.look(site, target).state == "running")
        known = driver.look(site, target)
        began = time.monotonic()
        assert driver.look(site, target, seen=known.version, wait_s=0.3).version == known.version
        assert time.monotonic() - began >= 0.3
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(driver.look, site, target, seen=known.version, wait_s=60)
            with (home(target) / "log").open("a") as log:
                log.write("Installing the driver\n")
            said = looking.result(60)
            assert "Installing the driver" in said.reason
            looking = pool.submit(driver.look, site, target, seen=said.version, wait_s=60)
            self.kill(target)
            assert looking.result(60).state == "idle"

    def test_is_gone_on_with_after_it_was_killed(self, driver, site, target, tmp_path):
        (tmp_path / "does").write_text("hangs")
        driver.begin(site, target)
        eventually((home(target) / "instances" / name_of(target.tag) / "state.yml").exists)
        self.kill(target)
        (tmp_path / "does").unlink()
        assert ended(driver, site, target) == "idle"
        driver.begin(site, target)
        eventually(lambda: (home(target) / "exit.json").exists())
        assert calls(target)[1][:1] == ["deploy"]

    def test_keeps_the_key_to_itself_and_forgets_it(self, driver, site, target):
        driver.begin(site, target)
        ended(driver, site, target)
        assert stat.S_IMODE((home(target) / "key").stat().st_mode) == 0o600
        assert stat.S_IMODE(home(target).stat().st_mode) == 0o700
        assert kept(target.cloudypad) == {target.tag}
        forget(target.tag, target.cloudypad)
        assert not home(target).exists()
        assert kept(target.cloudypad) == set()

    @pytest.mark.parametrize("does", ["", "fails"])
    def test_of_a_vms_next_machine_begins_anew(self, driver, site, target, tmp_path, does):
        """Another offer's, or where it moves to: a bare machine is neither done nor failed by what became of the one before."""
        (tmp_path / "does").write_text(does)
        driver.begin(site, target)
        assert ended(driver, site, target) == ("failed" if does else "idle")
        other = replace(
            target, tag=target.tag.removesuffix("1") + "2", address=Address("127.0.0.1", 22, "ubuntu")
        )
        seen = driver.look(site, other)
        assert (seen.state, [step.state for step in seen.steps]) == ("idle", ["running"])
        (tmp_path / "does").write_text("")
        driver.begin(site, other)
        assert ended(driver, site, other) == "idle"
        assert calls(other)[0][:4] == ["create", "ssh", "--name", name_of(other.tag)]
        assert not CloudypadDriver.suits(
            replace(site, system="ubuntu 24.04", has_driver=True),
            replace(other, tag=target.tag.removesuffix("1") + "3"),
        )

    def kill(self, target: Target) -> None:
        """Runner and program, as a host that loses its power."""
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                is_its = f"CLOUDYPAD_HOME={home(target)}".encode() in environ.read_bytes().split(b"\0")
            except OSError:
                continue
            if is_its:
                end_process(int(environ.parent.name))


class TestChoice:
    def test_is_what_the_machine_offers(self, site, target):
        fit, at_22 = replace(site, system="ubuntu 24.04", has_driver=False), Address("127.0.0.1", 22)
        suited = replace(target, address=at_22)
        assert choose(fit, suited).name == "cloudypad"
        assert choose(replace(fit, system="debian 12"), suited).name == "wolf"
        assert choose(replace(fit, has_driver=True), suited).name == "wolf"
        assert choose(fit, replace(suited, has_gpu=False)).name == "wolf"
        assert choose(fit, replace(suited, address=replace(at_22, port=2222))).name == "wolf"
        assert choose(fit, replace(suited, cloudypad=None)).name == "wolf"
        assert choose(fit, replace(suited, is_configured=True)).name == "configured"

    def test_stays_when_cloudypad_has_brought_the_driver(self, site, target):
        home(target).mkdir(parents=True)
        suited = replace(target, address=Address("127.0.0.1", 22))
        assert choose(replace(site, system="ubuntu 22.04", has_driver=True), suited).name == "cloudypad"
