"""Console bytes without their terminal escape sequences."""

import re

_LONGEST_CONTROL = 64  # parameters of a CSI; the longest colour one sees has 36
_LONGEST_STRING = 4_096  # a title or a clipboard; what claims to be longer is noise on the line

# A string (OSC, DCS and their like) that is not ended ends with its line, lest noise swallows the rest of a log.
_STRING = rb"[\]PX^_] [^\x07\x18\x1a\x1b\n]{0,%d}" % _LONGEST_STRING
_CONTROL = rb"\[ [0-?]{0,%d} [\x20-/]{0,4}" % _LONGEST_CONTROL
_SEQUENCE = re.compile(
    rb"\x1b (?: %s (?:\x07|\x1b\\)? | %s [@-~] | [\x20-/]{1,4} [0-~] | [0-Z\\`-~] | )" % (_STRING, _CONTROL),
    re.VERBOSE,
)
_UNFINISHED = re.compile(rb"\x1b (?: %s \x1b? | %s | [\x20-/]{0,4} )\Z" % (_STRING, _CONTROL), re.VERBOSE)


class EscapeStripper:
    """Takes escape sequences out of a console's bytes, piece by piece; every other byte stays as it is.

    The pieces may be cut anywhere; the result is the same. At most about 4 KiB are held back for the next piece. No
    byte that comes out is ESC.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is certain to be in no sequence."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._held = data[end:]
        return _SEQUENCE.sub(b"", data[:end])

    def finish(self) -> None:
        """Drop the sequence that was begun: its rest is lost."""
        self._held = b""


def stripped(data: bytes) -> bytes:
    """Return all of `data` without escape sequences, also without one that its end cuts."""
    return EscapeStripper().feed(data) if b"\x1b" in data else data
