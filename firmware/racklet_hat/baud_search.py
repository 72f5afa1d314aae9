"""Finds a node's baud rate by the share of damaged characters: at a wrong rate it is a third or more."""

from racklet_link.kernels import const

WAIT = const(0)
PASS = const(1)
GARBAGE = const(2)

_WINDOW = const(32)  # characters: 3 ms of text at 115200 baud
_WRONG_FROM = const(6)  # of these. At the wrong one of our rates boot texts give 9 to 32, in step with the line 0 to 2
_GARBAGE_SHARE = const(4)  # a quarter of a few characters: less than a wrong rate damages
_ROUNDS = const(2)  # through all rates, then the line is noisy and no rate is better


class BaudSearch:
    """Two states.

    | state | entered | leaves it |
    |---|---|---|
    | searching | `begin` | 32 characters of which at most 5 were damaged, or two rounds through all rates in vain |
    | settled | then | `begin`; `doubt` when the last search found something |

    It starts with the rate that worked last, at first the first one. With one rate there is nothing to search.
    """

    def __init__(self, rates: "tuple[int, ...]") -> None:
        self._rates = rates
        self._tried = 0  # the index of the rate that is tried or used
        self._found = 0  # of the rate that worked last
        self._count = 0  # characters that were heard at this rate…
        self._damaged = 0  # …and how many of them were damaged
        self._hops = 0
        self._in_vain = False
        self.is_on = False

    @property
    def rate(self) -> int:
        """The rate to listen at."""
        return self._rates[self._tried]

    def begin(self) -> None:
        """Search: a boot begins."""
        self.is_on = len(self._rates) > 1
        self._count = self._damaged = self._hops = 0
        self._in_vain = False

    def doubt(self) -> None:
        """Search: many characters came damaged. Not again after a search in vain, since a search loses characters."""
        if not self._in_vain:
            self.begin()

    def judge(self, count: int, damaged: int, is_quiet: bool) -> int:
        """Decide on the first `count` characters, up to 32, of which so many are damaged.

        PASS: they are the node's; the search may be over. GARBAGE: they are not, and `rate` may be another now. WAIT:
        more must come. When the line `is_quiet` nothing waits; a few characters tell little about the rate, but add up.
        """
        if self._damaged + damaged >= _WRONG_FROM:
            self._hop()
            return GARBAGE
        if self._count + count >= _WINDOW:
            self.is_on = False
            self._found = self._tried
            return PASS
        if not is_quiet:
            return WAIT
        self._count += count
        self._damaged += damaged
        return PASS if damaged * _GARBAGE_SHARE < count else GARBAGE

    def _hop(self) -> None:
        self._count = self._damaged = 0
        self._hops += 1
        self._tried = (self._tried + 1) % len(self._rates)
        if self._hops == _ROUNDS * len(self._rates):
            self._in_vain = True
            self._tried = self._found
            self.is_on = False
