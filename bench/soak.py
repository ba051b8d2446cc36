"""The simulation at ten times the length: hours."""

from __future__ import annotations

from bench import simulation


def main() -> None:
    simulation.main(launches=100_000)
