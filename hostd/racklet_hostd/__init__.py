"""hostd: the daemon that talks to every HAT of a rack, keeps its logs and serves its API, and the `racklet` command."""

from importlib.metadata import version

__version__ = version("racklet")
