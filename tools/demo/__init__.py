"""A virtual rack of five nodes and a real hostd, to look at or to check."""
