"""Runs it: `python tools/flash PORT`."""

import sys
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent.parent)  # a folder that is run is no package by itself
import_module("tools.flash.command").main()
