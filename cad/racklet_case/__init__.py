"""Racklet's case: a printable rack, computed from `cad/parameters.toml` and `hardware/mechanics.toml`."""
