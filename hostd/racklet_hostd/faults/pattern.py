"""What a console line is searched for. Only this module and the boot doctor's needles know RE2.

A pattern comes from a caller and lines come from a node, so neither may cost hostd its time. RE2 searches in time that
is linear in the line, whatever the pattern; a line has at most LINE_LIMIT bytes, a pattern PATTERN_LIMIT characters,
and RE2 refuses what would compile into more than PROGRAM_BYTES. The worst pattern that we found takes 4 ms a line.
"""

import re2  # type: ignore[import-untyped]

PATTERN_LIMIT = 500  # characters
PROGRAM_BYTES = 1 << 20


class Pattern:
    """A pattern and its `text`. Raises ValueError with what is expected instead."""

    def __init__(self, text: str) -> None:
        if not 0 < len(text) <= PATTERN_LIMIT:
            raise ValueError(f"a regular expression of 1 to {PATTERN_LIMIT} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = PROGRAM_BYTES
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            problem = error.args[0].decode(errors="replace")
            raise ValueError(f"a regular expression as RE2 takes it ({problem})") from error
        self.text = text
        if self.is_in(""):
            raise ValueError("a regular expression that does not find just anything")

    def is_in(self, line: str) -> bool:
        """Return whether it is found anywhere in `line`."""
        return self._compiled.search(line) is not None
