"""What a person types on a console, kept until hostd has told that it has it: so nothing is typed twice."""

from racklet.v1 import rack_pb2


class ConsoleInput:
    """The input of one caller over all its streams, by offset. It holds what hostd has not told to have."""

    def __init__(self) -> None:
        self._offset = 0  # of the first byte in `_waiting`
        self._waiting = bytearray()

    @property
    def offset(self) -> int:
        """Up to here hostd has told to have it."""
        return self._offset

    def type(self, data: bytes) -> rack_pb2.AttachConsoleRequest:
        """Return what to send for `data`, which is held until it is told to be there."""
        request = rack_pb2.AttachConsoleRequest(data=data, input_offset=self._offset + len(self._waiting))
        self._waiting += data
        return request

    def told(self, typed_offset: int) -> None:
        """Take that hostd has what lies before `typed_offset`."""
        count = min(max(0, typed_offset - self._offset), len(self._waiting))
        del self._waiting[:count]
        self._offset += count

    def rest(self) -> rack_pb2.AttachConsoleRequest | None:
        """Return what to send again to a hostd that knows this caller; None when it has everything."""
        if not self._waiting:
            return None
        return rack_pb2.AttachConsoleRequest(data=bytes(self._waiting), input_offset=self._offset)

    def give_up(self) -> int:
        """Forget what hostd has not told to have; return how many bytes."""
        count = len(self._waiting)
        self._waiting.clear()
        return count
