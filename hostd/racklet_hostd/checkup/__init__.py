"""Looks at an installation of hostd from outside, whether it runs or not, and says what to do."""
