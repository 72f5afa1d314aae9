"""Firmware bundles: built, signed offline, read by hostd, verified by the HAT."""
