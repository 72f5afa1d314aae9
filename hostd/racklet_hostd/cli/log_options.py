"""What `racklet logs` may be asked for, and what of it goes together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from racklet_hostd.cli.since import since


class Ansi(StrEnum):
    """What becomes of terminal escape sequences."""

    KEEP = "keep"
    STRIP = "strip"


BootOption = Annotated[
    int | None,
    typer.Option("--boot", metavar="N", help="Which boot; -1 is the one before the newest.  [default: newest]"),
]
FromOption = Annotated[int, typer.Option("--from", min=0, metavar="OFFSET", help="Begin at this byte of the log.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="TIME",
        parser=since,
        help="What came from then on, in that boot and later ones: 10m, 2h, 2026-11-22T08:30.",
    ),
]
RawOption = Annotated[bool, typer.Option("--raw", help="Write the bytes as they are to a terminal, too.")]
TimestampsOption = Annotated[
    bool, typer.Option("--timestamps", "-t", help="Put the time of its first byte before each line.")
]
AnsiOption = Annotated[
    Ansi, typer.Option("--ansi", help="Keep or strip escape sequences. A terminal gets only harmless ones.")
]
GrepOption = Annotated[
    str | None, typer.Option("--grep", metavar="REGEX", help="Only the lines that match, as BOOT:OFFSET:LINE.")
]
IgnoreCaseOption = Annotated[
    bool, typer.Option("--ignore-case", "-i", help="With --grep: capital or small does not matter.")
]
AllBootsOption = Annotated[bool, typer.Option("--all-boots", help="With --grep: every kept boot, newest first.")]
ExportOption = Annotated[
    str | None, typer.Option("--export", metavar="FILE", help="Write the exact bytes to a new file; - is stdout.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="With --export: replace the file if there is one.")]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The options of one run, as given."""

    boot: int | None
    offset: int
    since: datetime | None
    follow: bool
    raw: bool
    timestamps: bool
    ansi: Ansi
    grep: str | None
    ignore_case: bool
    all_boots: bool
    export: str | None
    force: bool

    @property
    def strip(self) -> bool:
        """Tell whether escape sequences are to go."""
        return self.ansi is Ansi.STRIP

    def pattern(self) -> re.Pattern[str]:
        """Return what to look for; a usage error when it is no regular expression."""
        try:
            return re.compile(self.grep or "", re.IGNORECASE if self.ignore_case else re.NOFLAG)
        except (re.error, OverflowError, RecursionError) as error:
            raise typer.BadParameter(f"{self.grep!r} is no regular expression: {error}", param_hint="--grep") from error

    def check(self, *, as_json: bool) -> None:
        """Raise a usage error for options that make no sense together, or alone."""
        if self.grep is not None:
            self.pattern()
        for option, sentence in (*self._misfits(), *(self._json_misfits() if as_json else ())):
            raise typer.BadParameter(sentence, param_hint=option)

    def _misfits(self) -> Iterator[tuple[str, str]]:
        if self.grep is None and (self.ignore_case or self.all_boots):
            yield "--ignore-case" if self.ignore_case else "--all-boots", "it goes with --grep REGEX"
        if self.force and self.export is None:
            yield "--force", "it goes with --export FILE"
        if self.raw and self.strip:
            yield "--raw", "raw bytes are not stripped: give --raw or --ansi strip"
        if self.since is not None and self.offset:
            yield "--since", "it says where to begin, as --from does: leave out one"
        if self.all_boots and (self.boot is not None or self.offset or self.since):
            yield "--all-boots", "it reads every boot from its first byte: leave out --boot, --from and --since"
        if self.all_boots and self.follow:
            yield "--all-boots", "it ends with the oldest boot: leave out --follow"
        if self.export is not None:
            yield from self._export_misfits()

    def _export_misfits(self) -> Iterator[tuple[str, str]]:
        if self.follow:
            yield "--export", "it writes what there is now: leave out --follow"
        if self.since is not None:
            yield "--export", "it writes one boot: leave out --since"
        if self.grep is not None:
            yield "--export", "it writes a whole log: leave out --grep"
        if self.raw or self.timestamps or self.strip:
            yield "--export", "it writes the bytes exactly as sent: leave out --raw, --timestamps and --ansi strip"

    def _json_misfits(self) -> Iterator[tuple[str, str]]:
        if self.export is not None:
            yield "--export", "it writes bytes, not JSON: leave out --json"
        if self.timestamps:
            yield "--timestamps", "with --json every object has its receive_time"
        if self.strip:
            yield "--ansi", "with --json the data are the exact bytes"
