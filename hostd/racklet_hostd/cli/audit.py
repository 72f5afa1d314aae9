"""The command that shows who asked hostd for what."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_hostd.cli import units
from racklet_hostd.cli.arguments import LimitOption
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import DIM, NONE, plain_table
from racklet_hostd.cli.terminal_text import printable

_OK = "OK"
_REQUEST_ID = re.compile(r" ?\brequest_id=\S+")  # for programs, and in the JSON

VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Check the whole log; exit code 1 when something was changed or removed.")
]


@command
async def audit(session: Session, *, verify: VerifyOption = False, limit: LimitOption = 20) -> None:
    """Show the calls that changed something: who, what, and what came of it."""
    if verify:
        await _verify(session)
        return
    entries = [entry async for entry in session.rack.audit_entries(limit)][::-1]
    if session.output.as_json:
        for entry in entries:
            session.output.json(entry)
        return
    table = plain_table("ENTRY", "TIME", "WHO", "WHAT", "NODE", "WITH", "TOOK", right=("ENTRY", "TOOK"))
    table.add_column("OUTCOME")
    for asked, ended in _paired(entries):
        table.add_row(*_row(asked, ended))
    session.output.show(table)


async def _verify(session: Session) -> None:
    found = await session.rack.verify_audit()
    if session.output.as_json:
        session.output.json(found)
    elif found.problem:
        session.output.show(Text(f"The audit log is not whole: {printable(found.problem)}", "bold red"))
    else:
        session.output.text(
            f"The audit log is whole, from entry {found.first_sequence} to {found.last_sequence}.\n"
            f"The last hash is {printable(found.last_hash)}.\n"
            "Noted down elsewhere, it shows later whether the end was cut off.\n"
        )
    if found.problem:
        raise typer.Exit(ExitCode.FAILED)


def _paired(
    entries: Sequence[rack_pb2.AuditEntry],
) -> list[tuple[rack_pb2.AuditEntry, rack_pb2.AuditEntry | None]]:
    """Put the end of a call beside its beginning; what has only one of them stands alone."""
    ends = {entry.asked: entry for entry in entries if entry.kind == "ended"}
    begun = {entry.sequence for entry in entries if entry.kind == "asked"}
    return [
        (entry, ends.get(entry.sequence) if entry.kind == "asked" else None)
        for entry in entries
        if entry.kind != "ended" or entry.asked not in begun
    ]


def _row(entry: rack_pb2.AuditEntry, ended: rack_pb2.AuditEntry | None) -> list[Text]:
    last = ended or entry
    took = units.short_span(last.duration.ToMilliseconds()) if last.kind != "asked" else ""
    return [
        Text(str(entry.sequence)),
        Text(units.local_time(entry.entry_time), DIM),
        Text(printable(entry.who)) if entry.who else Text("hostd", DIM),
        Text(printable(entry.method) + (" (late)" if entry.kind == "late" else "")),
        Text(printable(entry.node)) if entry.node else NONE.copy(),
        Text(printable(_REQUEST_ID.sub("", entry.arguments))),
        Text(took),
        _outcome(last),
    ]


def _outcome(entry: rack_pb2.AuditEntry) -> Text:
    if entry.kind == "asked":
        return Text("no end on record", "yellow")
    is_good = entry.outcome in {_OK, "done", ""}
    return Text(printable(entry.outcome), "green" if is_good else "red", overflow="fold")
