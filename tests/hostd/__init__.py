"""Tests of hostd, against real files, ports and gRPC."""
