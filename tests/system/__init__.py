"""Tests of the whole: the real firmware, the real hostd, real ports, gRPC and HTTP."""
