"""The sending side of an update, against a HAT that takes, forgets and goes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.limits import UPDATE_DATA_MAX
from racklet_link.update_sender import REPEAT_EVERY_MS, WINDOW, UpdateSender

STREAM = bytes(range(256)) * 16


def progress(offset: int) -> link_pb2.UpdateProgress:
    return link_pb2.UpdateProgress(offset=offset)


def test_it_asks_where_to_begin_and_sends_nothing_before() -> None:
    sender = UpdateSender(STREAM, 0)
    assert sender.due(0) == [link_pb2.UpdateData()]
    assert sender.due(REPEAT_EVERY_MS - 1) == []
    assert sender.due(REPEAT_EVERY_MS) == [link_pb2.UpdateData()]


def test_it_begins_where_the_hat_wants_it() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(1000), 0)
    pieces = sender.due(0)
    assert pieces[0].offset == 1000
    assert b"".join(piece.data for piece in pieces) == STREAM[1000 : 1000 + WINDOW]


def test_no_more_than_the_window_is_on_its_way() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(0), 0)
    assert len(sender.due(0)) == WINDOW // UPDATE_DATA_MAX
    assert sender.due(1) == []
    sender.take(progress(UPDATE_DATA_MAX), 2)
    assert [piece.offset for piece in sender.due(2)] == [WINDOW]


def test_what_is_not_taken_is_sent_again() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(0), 0)
    first = sender.due(0)
    assert sender.due(REPEAT_EVERY_MS) == first


def test_a_hat_that_goes_back_is_followed() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(3000), 0)
    sender.due(0)
    sender.take(progress(0), 5)
    assert sender.due(5)[0].offset == 0


def test_when_all_is_taken_it_only_asks() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(len(STREAM)), 0)
    assert sender.taken == len(STREAM)
    assert sender.due(0) == []
    assert sender.due(REPEAT_EVERY_MS) == [link_pb2.UpdateData(offset=len(STREAM))]


def test_an_offset_behind_the_end_is_taken_for_the_end() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(1 << 31), 0)
    assert sender.taken == len(STREAM)


@settings(deadline=None)  # a busy computer is no failure
@given(st.data())
def test_the_stream_arrives_whole_over_a_line_that_loses_frames(data: st.DataObject) -> None:
    stream = data.draw(st.binary(min_size=1, max_size=3000))
    sender, taken = UpdateSender(stream, 0), bytearray()
    for now_ms in range(0, 100 * REPEAT_EVERY_MS, REPEAT_EVERY_MS // 2):
        for piece in sender.due(now_ms):
            known = len(taken) - piece.offset
            if data.draw(st.booleans()) or now_ms > 50 * REPEAT_EVERY_MS:
                taken += piece.data[known:] if 0 <= known < len(piece.data) else b""
                if data.draw(st.booleans()) or now_ms > 50 * REPEAT_EVERY_MS:
                    sender.take(progress(len(taken)), now_ms)
        if sender.taken == len(stream):
            break
    assert taken == stream


def test_a_hat_that_tells_the_same_again_does_not_put_the_repeat_off() -> None:
    sender = UpdateSender(STREAM, 0)
    sender.take(progress(0), 0)
    first = sender.due(0)
    sender.take(progress(0), REPEAT_EVERY_MS - 1)
    assert sender.due(REPEAT_EVERY_MS) == first
