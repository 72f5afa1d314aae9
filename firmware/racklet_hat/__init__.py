"""The firmware of a HAT."""
