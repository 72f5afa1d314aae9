"""What the HAT's end of the link wants of its surroundings. For type checkers: no HAT holds this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from array import array

    from racklet_link.message import Message


class Duties(Protocol):
    """What a HAT does when it is asked, and tells when it speaks. Results are numbers of `Result` in link.proto.

    Attributes:
        hat_id: the unique id of its microcontroller.
    """

    hat_id: bytes

    def load_key(self) -> bytes:
        """Return the key that is kept, 32 bytes; b"" when there is none."""

    def keep_key(self, key: bytes, /) -> None:
        """Keep a key over every restart; b"" forgets it."""

    def random(self, size: int, /) -> bytes:
        """Return random bytes that nobody can guess."""

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int, /) -> int:
        """Begin to move the supply; return the result, or RESULT_PENDING and later call `HatLink.finish`."""

    def identify(self, duration_ms: int, /) -> int:
        """Blink the identify LED; return the result."""

    def set_limits(self, slots: array[int], /) -> int:
        """Take the slots of a SetLimits; return the result."""

    def set_restore(self, policy: int, delay_ms: int, /) -> int:
        """Take a restore policy; return the result."""

    def self_test(self, step: int, /) -> int:
        """Test a part of the HAT; return the result."""

    def begin_update(self, slots: array[int], buf: bytearray, /) -> int:
        """Take the slots of a BeginUpdate, whose digest lies in `buf`; return the result."""

    def take_update(self, offset: int, buf: bytearray, start: int, size: int, /) -> None:
        """Take `buf[start:start + size]` of an update's stream if it is what comes next."""

    def finish_update(self, request_id: int, /) -> int:
        """Begin to check an update; return the result, or RESULT_PENDING and later call `HatLink.finish`."""

    def confirm_update(self, /) -> int:
        """End the probation; return the result."""

    def abort_update(self, /) -> int:
        """Forget an update; return the result."""

    def fill_update(self, progress: Message, /) -> None:
        """Fill in how an update stands."""

    def set_clock(self, unix_ms: int, /) -> None:
        """Set the wall clock."""

    def type_console(self, buf: bytearray, start: int, size: int, /) -> int:
        """Type some of `buf[start:start + size]` on the node's console; return how many bytes were taken."""

    def fill_hello(self, hello: Message, /) -> None:
        """Fill in reset cause, supply state, whether boot 1 continues, board and firmware."""

    def fill_reply(self, reply: Message, /) -> None:
        """Fill in the supply as measured."""

    def fill_telemetry(self, telemetry: Message, /) -> None:
        """Fill in everything but sequence and time."""
