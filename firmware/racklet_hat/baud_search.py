"""Finds a node's baud rate by the share of damaged characters: at a wrong rate it is a third or more."""

from racklet_link.kernels import const

WAIT = const(0)
PASS = const(1)
HOP = const(2)

_WINDOW = const(32)  # characters: 3 ms of text at 115200 baud
_WRONG_FROM = const(6)  # of these. At the wrong one of our rates boot texts give 9 to 32, in step with the line 0 to 2
_ROUNDS = const(2)  # through all rates, then the line is noisy and no rate is better


class BaudSearch:
    """| state | entered | leaves it |
    |---|---|---|
    | searching | `begin` | 32 characters of which at most 5 are damaged, or two rounds through all rates in vain |
    | settled | then | `begin`; `doubt` when the last search found something |

    It starts with the rate that worked last, at first the first one. With one rate there is nothing to search.
    """

    def __init__(self, rates: "tuple[int, ...]") -> None:
        self._rates = rates
        self._tried = 0  # the index of the rate that is tried or used
        self._found = 0  # of the rate that worked last
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
        self._hops = 0
        self._in_vain = False

    def doubt(self) -> None:
        """Search: many characters came damaged. Not again after a search in vain, since a search loses characters."""
        if not self._in_vain:
            self.begin()

    def judge(self, count: int, damaged: int, is_quiet: bool) -> int:
        """Decide on the first `count` characters, up to 32, of which so many are damaged.

        PASS: they are the node's; the search may be over. HOP: they are garbage, and `rate` is another now. WAIT: more
        must come, unless the line `is_quiet`: a few characters pass, and tell nothing about the rate.
        """
        if damaged >= _WRONG_FROM:
            self._hops += 1
            self._tried = (self._tried + 1) % len(self._rates)
            self._in_vain = self._hops == _ROUNDS * len(self._rates)
            if self._in_vain:
                self._tried = self._found
                self.is_on = False
            return HOP
        if count >= _WINDOW:
            self.is_on = False
            self._found = self._tried
            return PASS
        return PASS if is_quiet else WAIT
