"""The first moments of a connection: the handshake of TLS, and the first bytes of HTTP/2."""

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Protocol

from racklet_hostd.door.greeting import answer_to, is_preface_so_far, what_it_speaks
from racklet_hostd.door.relay import CHUNK_BYTES, NOT_NOW

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_BYTES = 24  # HTTP/2 says what it is in so many


class Reception(Protocol):
    """Who takes what comes of an arrival."""

    def welcome(self, arrival: "Arrival", first: bytes) -> None:
        """It speaks HTTP/2; `first` is what was read. The connection is now the reception's."""

    def turn_away(self, arrival: "Arrival", reason: str) -> None:
        """It is closed, and why."""


class Arrival:
    """A connection of which nothing is known yet. It has `patience_s` to say who it is."""

    def __init__(
        self, connection: socket.socket, origin: str, peer: str, reception: Reception, patience_s: float
    ) -> None:
        self.connection = connection
        self.origin = origin
        self.peer = peer
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._first = b""
        self._step: Callable[[], None] = self._shake if isinstance(connection, ssl.SSLSocket) else self._listen
        self._deadline = self._loop.call_later(patience_s, self._too_late)
        self._loop.add_reader(connection, self._go_on)

    def _go_on(self) -> None:
        try:
            self._step()
        except NOT_NOW:  # what TLS has to say fits into the socket, so it only ever waits to hear
            return
        except OSError as error:
            self._turn_away(tls_problem(error) if isinstance(error, ssl.SSLError) else error.strerror or str(error))

    def _shake(self) -> None:
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()
        self._step = self._listen
        self._listen()

    def _listen(self) -> None:
        data = self.connection.recv(CHUNK_BYTES)
        self._first += data
        if not data:
            self._turn_away("it left without a word" if not self._first else "it left in the middle of a word")
        elif not is_preface_so_far(self._first):
            with contextlib.suppress(OSError):  # it may have left
                self.connection.send(answer_to(self._first))
            self._turn_away(f"it speaks {what_it_speaks(self._first)}")
        elif len(self._first) >= _FIRST_BYTES:
            self._leave_loop()
            self._reception.welcome(self, self._first)

    def _too_late(self) -> None:
        is_silent = self._step == self._listen
        self._turn_away("it says nothing" if is_silent else "it does not finish its handshake")

    def _turn_away(self, reason: str) -> None:
        self.close()
        self._reception.turn_away(self, reason)

    def close(self) -> None:
        """Close it, whoever it is."""
        self._leave_loop()
        self.connection.close()

    def _leave_loop(self) -> None:
        self._deadline.cancel()
        if self.connection.fileno() >= 0:
            self._loop.remove_reader(self.connection)


_PROBLEMS = {
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.3",
    "WRONG_VERSION_NUMBER": "it speaks plain text, where TLS is spoken",
    "UNEXPECTED_EOF_WHILE_READING": "it broke its handshake off, as who does not trust the certificate of this hostd",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the certificate of this hostd: it knows another CA",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not trust the certificate of this hostd",
}


def tls_problem(error: ssl.SSLError) -> str:
    """Say why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = error.reason or str(error)
    return _PROBLEMS.get(reason, f"TLS failed: {reason.lower().replace('_', ' ')}")
