"""The boards there are, by name."""

from __future__ import annotations

import importlib

from hardware.design.layout import Layout
from hardware.design.parts import Design

NAMES = ("hat", "backplane")


def design(name: str) -> Design:
    """Return the parts and nets of a board."""
    found: Design = importlib.import_module(f"hardware.design.{name}").DESIGN
    return found


def layout(name: str) -> Layout:
    """Return where a board's parts are."""
    found: Layout = importlib.import_module(f"hardware.design.{name}_layout").LAYOUT
    return found
