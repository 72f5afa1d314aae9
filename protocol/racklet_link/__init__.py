"""The link between a HAT and hostd: what both ends run, and hostd's end."""
