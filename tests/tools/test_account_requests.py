"""The account of power requests in small: 400 bad frames. It holds, and it can fail."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from racklet.link.v1 import link_pb2
from racklet_link.reply_cache import ReplyCache
from racklet_link.requester import Requester
from tools.account import power_requests
from tools.account.request_run import raged


def printed(bad_frames: int, seed: int) -> tuple[bool, str]:
    """Run the account; return whether it held, and what it printed."""
    console = Console(file=StringIO(), width=120, highlight=False)
    holds = power_requests.account(console, bad_frames, seed)
    assert isinstance(console.file, StringIO)
    return holds, console.file.getvalue()


def verdict(text: str, promise: str) -> str:
    """Return the line of a promise."""
    return next(line for line in text.splitlines() if promise in line)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_request_is_executed_twice_and_none_is_lost_silently(seed: int) -> None:
    holds, text = printed(400, seed)
    assert holds, text
    assert text.count(" ok ") == 7


def test_the_storm_reaches_what_it_is_about() -> None:
    storm = raged(1500, 5)
    ledger = storm.ledger
    assert ledger.timed_out > 0
    assert storm.to_host.results[link_pb2.RESULT_STALE] > 0
    assert ledger.starts > 0
    assert {link_pb2.RESULT_DONE, link_pb2.RESULT_BUSY, link_pb2.RESULT_OVERTAKEN} <= ledger.answers.keys()
    assert storm.rejected_by_hat > 0
    assert storm.rejected_by_host > 0


def test_it_fails_when_the_hat_forgets_its_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyCache, "repeat", lambda _cache, _request_id: False)
    holds, text = printed(400, 1)
    assert not holds
    assert "FAILED" in verdict(text, "executed twice")


def test_it_fails_when_a_time_out_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    expire = Requester.expire

    def silent(requester: Requester, now_ms: int) -> list[object]:
        expire(requester, now_ms)
        return []

    monkeypatch.setattr(Requester, "expire", silent)
    holds, text = printed(60, 1)
    assert not holds
    assert "FAILED" in verdict(text, "lost silently")
