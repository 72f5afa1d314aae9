"""Tests of the racklet command, against a real server."""
