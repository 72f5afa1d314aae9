"""What a HAT does about updates of its firmware, whether one comes or not: begin, end, confirm, tell."""

from racklet_link.kernels import const, elapsed_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from racklet_boot.selector import Start
    from racklet_hat.update import Updater
    from racklet_link.hat import HatLink
    from racklet_link.message import Message

_HELLO_SLOT = const(23)
_HELLO_ON_PROBATION = const(24)
_HELLO_SECURITY_VERSION = const(25)
_HELLO_FELL_BACK = const(26)
_BEGIN_UPDATE_DIGEST = const(3)
_UPDATE_PROGRESS_OFFSET = const(0)
_UPDATE_PROGRESS_STATE = const(1)
_UPDATE_PROGRESS_REFUSAL = const(2)
_UPDATE_STATE_READY = const(6)
_UPDATE_STATE_REFUSED = const(7)
_UPDATE_REFUSAL_NO_SLOTS = const(1)
_UPDATE_REFUSAL_FLASH = const(12)
_UPDATE_REFUSAL_ORDER = const(13)
_RESULT_DONE = const(1)
_RESULT_PENDING = const(2)
_RESULT_UPDATE_REFUSED = const(20)
_PROBATION_MS = const(60_000)  # hostd finds a HAT that started anew within 3 s, and looks at it for some
_RESTART_AFTER_MS = const(500)  # from the last reply to the restart: it is on its way for 10 ms


class UpdateDuty:
    """`start` tells from which slot the firmware runs; None when from none. `refusal` is an UpdateRefusal, or 0.

    `link` is set as soon as there is one.
    """

    def __init__(self, start: "Start | None", now_ms: int) -> None:
        self.refusal = 0
        self.link: "HatLink | None" = None
        self._start = start
        self._began_ms = now_ms
        self._updater: "Updater | None" = None  # from the first update on
        self._told = (0, 0)
        self._finish_id = 0  # of the request that waits for the end of an update
        self._restart_ms = -1

    def is_over(self, now_ms: int) -> bool:
        """Tell whether the probation has ended without a confirmation: the watchdog is to end this firmware."""
        start = self._start
        return start is not None and start.on_probation and elapsed_ms(now_ms, self._began_ms) > _PROBATION_MS

    def turn(self, now_ms: int, is_switching: bool) -> bool:
        """Go on with an update, a little; tell whether the HAT is to start anew now. A power transaction ends first."""
        updater = self._updater
        link = self.link
        if updater is None or link is None:
            return False
        updater.turn()
        now = (updater.done, updater.state)
        if now != self._told:
            self._told = now
            link.update_due = True
        if self._finish_id and updater.state in (_UPDATE_STATE_READY, _UPDATE_STATE_REFUSED):
            finish_id = self._finish_id
            self._finish_id = 0
            self.refusal = updater.refusal
            link.finish(finish_id, _RESULT_UPDATE_REFUSED if self.refusal else _RESULT_DONE, 0)
            if not self.refusal:
                self._restart_ms = now_ms
        if is_switching and self._restart_ms >= 0:
            self._restart_ms = now_ms  # its reply is to be on its way as well
        return self._restart_ms >= 0 and elapsed_ms(now_ms, self._restart_ms) > _RESTART_AFTER_MS

    def begin(self, slots: "array[int]", buf: bytearray) -> int:
        """Take up an update; return the result. The code for it is loaded now, and stays."""
        link = self.link
        if self._start is None or link is None:
            return self._refused(_UPDATE_REFUSAL_NO_SLOTS)
        if self._updater is None:
            from racklet_hat.update import Updater  # noqa: PLC0415 - most starts never need it

            self._updater = Updater(self._start, link.version)
        at = slots[_BEGIN_UPDATE_DIGEST]
        digest = bytes(buf[at : at + slots[_BEGIN_UPDATE_DIGEST + 1]])
        link.update_due = True
        return self._refused(self._updater.begin(slots[0], slots[1], slots[2], digest))

    def take(self, offset: int, buf: bytearray, start: int, size: int) -> None:
        """Take some of an update's stream."""
        if self._updater is not None:
            self._updater.take(offset, buf, start, size)

    def finish(self, request_id: int) -> int:
        """Have the update checked, then started; return the result, pending at first."""
        if self._updater is None:
            return self._refused(_UPDATE_REFUSAL_ORDER)
        result = self._refused(self._updater.finish())
        if result == _RESULT_DONE:
            self._finish_id = request_id
            return _RESULT_PENDING
        return result

    def confirm(self) -> int:
        """Keep to this firmware; return the result."""
        start = self._start
        if start is not None and start.on_probation:
            try:
                start.slots.confirm(start.slot, start.manifest)
            except OSError:
                return self._refused(_UPDATE_REFUSAL_FLASH)
            start.on_probation = False
        return _RESULT_DONE

    def abort(self) -> int:
        """Forget the update, unless the HAT is about to start with it; return the result."""
        if self._updater is not None and self._restart_ms < 0 and not self._finish_id:
            self._updater.abort()
        return _RESULT_DONE

    def fill(self, progress: "Message") -> None:
        """Tell how the update stands."""
        updater = self._updater
        if updater is not None:
            progress.slots[_UPDATE_PROGRESS_OFFSET] = updater.done
            progress.slots[_UPDATE_PROGRESS_STATE] = updater.state
            progress.slots[_UPDATE_PROGRESS_REFUSAL] = updater.refusal

    def fill_hello(self, hello: "Message", firmware_slot: int) -> None:
        """Tell which firmware runs, and how."""
        start = self._start
        if start is not None:
            slots = hello.slots
            slots[_HELLO_SLOT] = 1 if start.slot == "a" else 2
            slots[_HELLO_ON_PROBATION] = start.on_probation
            slots[_HELLO_SECURITY_VERSION] = start.manifest["security_version"]
            slots[_HELLO_FELL_BACK] = start.fell_back
            hello.put_bytes(firmware_slot, 2, start.manifest["version"].encode())

    def _refused(self, refusal: int) -> int:
        self.refusal = refusal
        return _RESULT_UPDATE_REFUSED if refusal else _RESULT_DONE
