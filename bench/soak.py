"""The simulation at ten times the length, and lives four times as long: most of an hour."""

from __future__ import annotations

from bench import simulation


def main() -> None:
    simulation.main(launches=100_000, lives=10)
