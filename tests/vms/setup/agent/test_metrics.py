"""What a machine says of its GPU, which only some have."""

from __future__ import annotations

from pathlib import Path

import pytest

from vms.setup.agent import metrics


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that says what the file `says` holds."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ -e {tmp_path}/hangs ] && exec sleep 600\ncat {tmp_path}/says\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(metrics, "GPU_S", 60)  # it answers, however busy this machine is
    return tmp_path


class TestGpu:
    def test_is_read_where_there_is_one(self, nvidia_smi: Path) -> None:
        (nvidia_smi / "says").write_text("41, 2048, 24564, 63, 12\n")
        assert metrics.gpu() == {
            "gpu_percent": 41,
            "gpu_ram_used_mb": 2048,
            "gpu_ram_mb": 24564,
            "gpu_celsius": 63,
            "gpu_encoder_percent": 12,
        }

    def test_leaves_out_what_the_card_does_not_tell(self, nvidia_smi: Path) -> None:
        (nvidia_smi / "says").write_text("41, [N/A], 24564, ERR!\n")
        assert metrics.gpu() == {"gpu_percent": 41, "gpu_ram_mb": 24564}

    @pytest.mark.parametrize("says", [None, "", "no devices were found"])
    def test_is_nothing_when_the_driver_is_broken(self, nvidia_smi: Path, says: str | None) -> None:
        if says is not None:
            (nvidia_smi / "says").write_text(says)
        assert metrics.gpu() == {}

    def test_is_given_up_when_it_hangs(self, nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (nvidia_smi / "hangs").touch()
        monkeypatch.setattr(metrics, "GPU_S", 0.1)
        assert metrics.gpu() == {}

    def test_is_nothing_without_the_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert metrics.gpu() == {}
