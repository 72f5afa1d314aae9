"""The command `racklet-hostd`."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from racklet_hostd import __version__, daemon
from racklet_hostd.config import RackletConfig
from racklet_hostd.config_loading import find_config_file, load_config
from racklet_hostd.doctor.signatures import signatures_with
from racklet_hostd.errors import ConfigError, RackletError
from racklet_hostd.log import start_logging

EXIT_FAILED = 1
EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run hostd until SIGTERM or SIGINT; return the exit code.

    0 after an orderly end, 1 when it cannot begin (a state folder or an address in use), 2 when the command line or the
    config is wrong.
    """
    options = _parser().parse_args(arguments)
    path = find_config_file(options.config)
    try:
        config = load_config(path)
        signatures_with(config.doctor.signatures)  # what is wrong in it is wrong in the config
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    if options.check:
        count = len(config.nodes)
        sys.stdout.write(f"{path or 'no config file, the defaults'}: good, {count} node{'s'[: count != 1]}\n")
        return 0
    start_logging(config.log.level, config.log.format, sys.stderr)
    keep_what_is_loaded()
    try:
        asyncio.run(_run(config))
    except RackletError as error:
        sys.stderr.write(f"racklet-hostd: {error}\n")
        return EXIT_FAILED
    return 0


def keep_what_is_loaded() -> None:
    """Have the garbage collector pass over all that is there: modules and message types, which stay to the end.

    To go over them takes 25 to 40 ms, in which nobody is served; what comes later takes less than one.
    """
    gc.collect()
    gc.freeze()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="racklet-hostd",
        description="The daemon of a rack: talks to every HAT, keeps logs, serves the gRPC API and metrics.",
        epilog="Without --config: $RACKLET_CONFIG, ./racklet.toml, ~/.config/racklet, /etc/racklet, the defaults.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the config file to use")
    parser.add_argument("--check", action="store_true", help="say whether the config is good, and end")
    parser.add_argument("--version", action="version", version=f"racklet-hostd {__version__}")
    return parser


async def _run(config: RackletConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await daemon.run(config, stop)


if __name__ == "__main__":
    sys.exit(main())
