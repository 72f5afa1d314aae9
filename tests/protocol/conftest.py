"""The link core in each interpreter that is to run it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Self

import pytest

from racklet.link.v1 import link_pb2
from tests.conftest import ROOT, interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

MESSAGES = list(link_pb2.DESCRIPTOR.message_types_by_name.values())


def constant(name: str) -> str:
    return "".join(f"_{c}" if c.isupper() and index else c for index, c in enumerate(name)).upper()


def child_questions() -> list[tuple[str, str, str]]:
    """Return what tells `conformance.py` which message a field holds."""
    return [
        ("child", f"{constant(descriptor.name)}.{field.number}", constant(field.message_type.name))
        for descriptor in MESSAGES
        for field in descriptor.fields
        if field.message_type
    ]


class Conformance:
    """`conformance.py` in one interpreter, asked line by line."""

    def __init__(self, name: str) -> None:
        self._command = [interpreter(name), str(ROOT / "tests/protocol/conformance.py")]

    def __enter__(self) -> Self:
        path = str(ROOT / "protocol")
        self._process = subprocess.Popen(
            self._command,
            env={"PYTHONPATH": path, "MICROPYPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for question in child_questions():
            self.ask(*question)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def ask(self, *words: object) -> str:
        print(*words, file=self._process.stdin)
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module", params=["cpython", "micropython", "micropython32"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    with Conformance(request.param) as conformance:
        yield conformance.ask
