"""What systemctl does in a guest: real processes, supervised."""

from __future__ import annotations

import io

import pytest

from tests.sandbox.machines import Machine, sftp_of
from tests.waiting import eventually

UNIT = """[Unit]
Description=Counts its starts
[Service]
Type=simple
Environment=WHO=agent "TWO=a b"
WorkingDirectory=/opt
RuntimeDirectory=counter
ExecStart=/usr/bin/python3 -u /opt/counter.py ${WHO}
Restart=always
RestartSec=50ms
User=root
[Install]
WantedBy=multi-user.target
"""
COUNTER = """
import os, signal, sys
with open('/var/lib/starts', 'a') as file:
    file.write(f"{sys.argv[1]} {os.environ['TWO']} {os.getcwd()} {os.path.isdir('/run/counter')}\\n")
print('started')
signal.pause()
"""


class TestSystemctl:
    @pytest.fixture
    def supervised(self, machine: Machine) -> Machine:
        with sftp_of(machine.connect("root")) as sftp:
            sftp.putfo(io.BytesIO(UNIT.encode()), "/etc/systemd/system/counter.service")
            sftp.putfo(io.BytesIO(COUNTER.encode()), "/opt/counter.py")
        result = machine.run(
            "sudo -n systemctl daemon-reload && sudo -n systemctl enable --now counter.service"
        )
        assert result.status == 0, result
        eventually(lambda: _starts(machine) == 1)
        return machine

    def test_starts_a_unit_as_its_file_says(self, supervised: Machine) -> None:
        assert supervised.run("cat /var/lib/starts").stdout == "agent a b /opt True\n"
        assert supervised.run("systemctl is-active counter").stdout == "active\n"
        assert supervised.run("systemctl is-enabled counter").status == 0
        assert "Counts its starts" in supervised.run("systemctl status counter").stdout
        eventually(lambda: supervised.run("journalctl -u counter").stdout == "started\n")

    def test_starts_it_again_when_it_dies(self, supervised: Machine) -> None:
        supervised.run("kill -9 $(systemctl show counter -p MainPID --value)")
        eventually(lambda: _starts(supervised) == 2)
        assert supervised.run("systemctl show counter -p NRestarts --value").stdout == "1\n"

    def test_stops_it_for_good(self, supervised: Machine) -> None:
        assert supervised.run("sudo systemctl stop counter").status == 0
        stopped = supervised.run("systemctl is-active counter")
        assert (stopped.status, stopped.stdout) == (3, "inactive\n")

    def test_restarts_with_the_file_as_it_is_now(self, supervised: Machine) -> None:
        with sftp_of(supervised.connect("root")) as sftp:
            changed = UNIT.replace("WHO=agent", "WHO=other")
            sftp.putfo(io.BytesIO(changed.encode()), "/etc/systemd/system/counter.service")
        supervised.run("sudo systemctl daemon-reload && sudo systemctl restart counter")
        eventually(lambda: _starts(supervised) == 2)
        assert supervised.run("tail -n 1 /var/lib/starts").stdout.startswith("other")

    def test_starts_what_is_enabled_at_the_next_boot(self, supervised: Machine) -> None:
        vendor = supervised.vendor
        for verb in ("stop", "start"):
            vendor.send("POST", f"/instances/{supervised.id}/{verb}")
        vendor.server.control.advance()
        eventually(lambda: _starts(supervised) == 2)

    def test_gives_up_on_what_fails_at_once(self, machine: Machine) -> None:
        unit = "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=10ms\n"
        with sftp_of(machine.connect("root")) as sftp:
            sftp.putfo(io.BytesIO(unit.encode()), "/etc/systemd/system/bad.service")
        machine.run("systemctl start bad", "root")
        eventually(lambda: machine.run("systemctl is-failed bad").stdout == "failed\n")

    def test_of_an_unknown_unit_fails(self, machine: Machine) -> None:
        result = machine.run("sudo systemctl start nothing")
        assert result.status == 5
        assert "not found" in result.stderr


def _starts(machine: Machine) -> int:
    return len(machine.run("cat /var/lib/starts").stdout.splitlines())
