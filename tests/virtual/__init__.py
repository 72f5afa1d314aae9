"""Tests of the virtual rack."""
