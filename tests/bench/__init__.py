"""Ours, a peer and the physical limit side by side, measured in one run. `python tests/bench [NAMES…]`."""
