"""docs/api.md tells of what is there."""

import re

import racklet_client
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def test_every_call_in_its_table_is_there() -> None:
    table = PAGE.partition("| to | call |")[2].partition("\n\n")[0]
    calls = set(re.findall(r"`(?:async with rack\.)?(\w+)(?:\(|`)", table)) - {"await", "async"}
    assert len(calls) > 15
    assert {call for call in calls if not hasattr(racklet_client.Rack, call)} <= {"console"}


def test_every_exception_is_in_its_table() -> None:
    errors = {
        name
        for name in racklet_client.__all__
        if isinstance(getattr(racklet_client, name), type) and issubclass(getattr(racklet_client, name), Exception)
    }
    assert errors == set(re.findall(r"`(\w+Error)`", PAGE))


def test_the_first_program_of_the_page_compiles() -> None:
    program = PAGE.partition("```python\n")[2].partition("```")[0]
    compile(program, "docs/api.md", "exec")
    assert set(re.findall(r"rack\.(\w+)\(", program)) == {"cycle", "boot_log"}
