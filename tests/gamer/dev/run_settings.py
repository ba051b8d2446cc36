"""The product's settings, with the gazetteer that all tests share, because compiling it takes ten seconds."""

from gamer.env import ROOT
from gamer.settings import *  # noqa: F403

GAZETTEER_DIR = ROOT / ".gamer" / "gazetteer"
