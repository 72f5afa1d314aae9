"""The error of every power monitor."""


class MonitorError(Exception):
    """The power monitor does not answer, or is not the part it should be."""
