"""The command that looks at an installation of hostd."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.address import Address
from racklet_client.errors import RackError, UnreachableError
from racklet_client.names import short_name
from racklet_client.rack import Rack, connect
from racklet_hostd import __version__
from racklet_hostd.checkup.certificates import check_certificates
from racklet_hostd.checkup.clock import check_clock
from racklet_hostd.checkup.finding import Finding, Verdict, good, problem, warning
from racklet_hostd.checkup.folders import check_state
from racklet_hostd.checkup.ports import check_open_files, check_ports, check_udev
from racklet_hostd.checkup.service import check_service
from racklet_hostd.checkup.system import System
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.nodes import all_nodes
from racklet_hostd.cli.output import Output
from racklet_hostd.cli.session import JsonOption, place_of
from racklet_hostd.cli.terminal_text import printable
from racklet_hostd.config import RackletConfig
from racklet_hostd.config_loading import find_config_file, load_config
from racklet_hostd.errors import ConfigError

_STYLES = {
    Verdict.GOOD: "green",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "bold red",
    Verdict.UNKNOWN: "dim",
}
_NODES = "[[node]] tables name the nodes and their ports; see docs/hostd.md"


def doctor(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="hostd's config file.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Look at this computer's installation of hostd, and say what to do.

    hostd may run or not. As root it sees more. Exit code 1 when there is a problem.
    """
    output = Output(as_json)
    findings = asyncio.run(_examine(config, place_of(context.obj)))
    if as_json:
        for finding in findings:
            output.record(verdict=finding.verdict, area=finding.area, what=finding.what, advice=finding.advice)
    else:
        output.show(_table(findings))
    if any(finding.verdict is Verdict.PROBLEM for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


async def _examine(option: Path | None, address: Address) -> list[Finding]:
    path = find_config_file(option)
    system = System()
    findings: list[Finding] = []
    try:
        config = load_config(path)
    except ConfigError as error:
        findings += [problem("config", line, "docs/racklet.toml shows every key") for line in str(error).splitlines()]
    else:
        findings += _check_config(path, config)
        findings += check_state(config, system.path("/proc/self/mounts"))
        findings += check_certificates(config, system)
        findings += check_ports(config, system)
        findings += check_udev(config, system)
        findings += check_open_files(config, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    findings += check_clock(system)
    findings += check_service(system)
    return findings + [finding async for finding in _check_api(address)]


def _check_config(path: Path | None, config: RackletConfig) -> Iterator[Finding]:
    if not config.nodes:
        yield warning("config", f"{path or 'no config file, so the defaults'}: no nodes", _NODES)
    else:
        count = len(config.nodes)
        yield good("config", f"{path}: good, {count} node{'s'[: count != 1]}")


async def _check_api(address: Address) -> AsyncIterator[Finding]:
    try:
        async with connect(address) as rack:
            version = (await rack.info()).version
            if version == __version__:
                yield good("hostd", f"version {version} answers at {address.target}")
            else:
                versions = f"hostd at {address.target} has version {version}, this command {__version__}"
                yield warning("hostd", versions, "start hostd again after an update")
            async for finding in _check_hats(rack):
                yield finding
    except UnreachableError as error:
        yield problem("hostd", str(error), "start it, or name its address with --address or RACKLET_ADDRESS")
    except RackError as error:
        yield problem("hostd", f"{address.target} answers: {error}", "see docs/hostd.md about who may call")


async def _check_hats(rack: Rack) -> AsyncIterator[Finding]:
    online = 0
    nodes = await all_nodes(rack)
    for node in nodes:
        if node.hat.state == rack_pb2.HAT_STATE_ONLINE:
            online += 1
        else:
            yield problem("hats", f"{short_name(node.name)}: {node.hat.problem}", "racklet nodes shows when it is back")
    if online:
        yield good("hats", f"{online} of {len(nodes)} are online")


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(printable(finding.what))
        if finding.advice:
            text.append(f"\n→ {printable(finding.advice)}", "italic")
        table.add_row(Text(finding.verdict, _STYLES[finding.verdict]), finding.area, text)
    return table
