"""A thread for what waits for the disk."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Self, TypeVar

T = TypeVar("T")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class DiskThread:
    """Does one thing after another, beside the event loop.

    It is ThreadPoolExecutor with one thread, and without what that has around it: a fast console hands something over
    ten times a second, each of which costs 0.1 to 0.2 ms of CPU less, where the flush that it is for costs 0.2 ms.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()  # at most as many as there are callers
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish what was begun, which blocks."""
        self._jobs.put(None)
        self._thread.join()

    def call(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do `work` after what is to be done already; also when what tells its outcome is cancelled."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, done))
        return done

    def _run(self) -> None:
        while job := self._jobs.get():
            work, done = job
            result, problem = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  the caller gets it, whatever it is
                problem = error
            self._loop.call_soon_threadsafe(_settle, done, result, problem)


def _settle(done: "asyncio.Future[T]", result: T, problem: BaseException | None) -> None:
    if done.cancelled():
        return
    if problem is None:
        done.set_result(result)
    else:
        done.set_exception(problem)
