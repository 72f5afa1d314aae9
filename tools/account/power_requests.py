"""Power requests over a line on which 10,000 requests and replies go bad.

Both ends of the link, the requester, the reply cache and the power gate are the real ones, on the virtual rack's
electronics. Each end's books are kept apart, and then put side by side.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table

from racklet.link.v1 import link_pb2
from tools.account.bad_line import ABOUT_REQUESTS, BAD, Fate
from tools.account.request_run import BAD_FRAMES, SEED, raged
from tools.account.verdict import print_verdict

if TYPE_CHECKING:
    from rich.console import Console

    from tools.account.bad_line import BadLine
    from tools.account.request_run import Storm
    from tools.account.verdict import Promise


def account(console: Console, bad_frames: int = BAD_FRAMES, seed: int = SEED) -> bool:
    """Let it rage, print it, and tell whether the books come out even."""
    began_s = time.monotonic()
    storm = raged(bad_frames, seed)
    console.print(
        f"{storm.seconds:.0f} s of virtual time, seed {seed}, run in {time.monotonic() - began_s:.0f} s."
        " A late frame, or the late copy of one, is up to 8 s late, and others overtake it."
    )
    _print_frames(console, storm)
    _print_requests(console, storm)
    return print_verdict(console, _promises(storm, bad_frames))


def _print_frames(console: Console, storm: Storm) -> None:
    table = Table("frames", "sent", *(fate.value for fate in BAD), title="What the line did")
    for name, line, kinds in (
        ("requests to the HAT", storm.to_hat, ABOUT_REQUESTS),
        ("replies to hostd", storm.to_host, ABOUT_REQUESTS),
        ("others to the HAT", storm.to_hat, ("other",)),
        ("others to hostd", storm.to_host, ("other",)),
    ):
        numbers = [_count(line, kinds, fate) for fate in BAD]
        table.add_row(name, str(sum(numbers) + _count(line, kinds, Fate.GOOD)), *map(str, numbers))
    console.print(table)
    console.print(
        f"Bad frames noticed: {storm.rejected_by_hat} by the HAT, {storm.rejected_by_host} by hostd."
        f" The link was lost {storm.links_lost} time(s).\n"
    )


def _print_requests(console: Console, storm: Storm) -> None:
    ledger, answers = storm.ledger, storm.ledger.answers
    by_result = ", ".join(f"{number} {_word(result)}" for result, number in answers.most_common())
    stale = storm.to_host.results[link_pb2.RESULT_STALE]
    rows = (
        ("asked", len(ledger.asked), ""),
        ("executed by the HAT", len(ledger.executed), f"{len(ledger.begun)} moved the supply or tried to"),
        ("answered", answers.total(), by_result),
        ("timed out, and told so", ledger.timed_out, f"{ledger.timed_out_executed} of them were executed"),
        (
            "told that it is too old",
            answers[link_pb2.RESULT_STALE],
            f"{ledger.stale_executed} of them were executed before",
        ),
        ("never executed", len(ledger.asked) - len(ledger.executed), "timed out, or too old when it came"),
        ("executed after the time-out", ledger.late, "hostd tells its callers that this may be"),
        ("replies that refuse as stale", stale, "to late copies of requests that the HAT has forgotten"),
    )
    table = Table("requests", "", "", title="What became of the requests", show_header=False)
    for name, number, remark in rows:
        table.add_row(name, str(number), remark)
    console.print(table)


def _promises(storm: Storm, bad_frames: int) -> tuple[Promise, ...]:
    ledger = storm.ledger
    bad = storm.to_hat.bad_about_requests + storm.to_host.bad_about_requests
    on = ledger.expected_on
    state = link_pb2.SUPPLY_STATE_ON if on else link_pb2.SUPPLY_STATE_OFF
    final = storm.state == state and storm.latch_on == on and ledger.rail_is(on=on)
    return (
        ("the storm was one", f"{bad} requests and replies went bad", bad >= bad_frames and len(ledger.executed) > 0),
        ("no request is executed twice", f"{ledger.executed_twice} were", ledger.executed_twice == 0),
        (
            "the rail says the same",
            f"switched on {storm.switch_ons} times, asked for {ledger.starts} times",
            storm.switch_ons == ledger.starts,
        ),
        (
            "none is lost silently",
            f"{ledger.unanswered} without an end, {ledger.told_twice} with two",
            ledger.unanswered == ledger.told_twice == 0,
        ),
        ("answers are what the HAT decided", f"{ledger.untrue} were not", ledger.untrue == 0),
        ("done is done: the rail was so", f"{ledger.wrong_rail} times it was not", ledger.wrong_rail == 0),
        (
            "the final state is right",
            f"the last transaction wants {_on(on=on)}, the rail is {_on(on=storm.latch_on)}",
            final,
        ),
    )


def _count(line: BadLine, kinds: tuple[str, ...], fate: Fate) -> int:
    return sum(line.fates[kind, fate] for kind in kinds)


def _word(result: int) -> str:
    return link_pb2.Result.Name(link_pb2.Result.ValueType(result)).removeprefix("RESULT_").lower().replace("_", " ")


def _on(*, on: bool) -> str:
    return "on" if on else "off"
