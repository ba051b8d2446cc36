"""What every template of ours keeps to."""

from __future__ import annotations

import re

from gamer.env import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ICON = re.compile(r"<[^>]*material-symbols-outlined[^>]*>")


class TestIcons:
    def test_are_not_read_out(self) -> None:
        """An icon is a word in a font of icons: a button would be called "travel_explore Show"."""
        found = [(path.name, icon) for path in TEMPLATES for icon in ICON.findall(path.read_text())]
        assert found
        assert [one for one in found if 'aria-hidden="true"' not in one[1]] == []
