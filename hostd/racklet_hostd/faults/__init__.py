"""Faults on purpose: a script takes nodes' supplies, and whatever happens, what was taken is given back."""
