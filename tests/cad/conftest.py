"""The case's tests. Those of the parameters run anywhere; those of the model need what `tools/cad-setup` installs.

The model's libraries are found at the end of the path: what both environments have comes from the tests' own, at the
same version (cad/requirements.txt is resolved against requirements.txt).
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from racklet_case.assembly import Assembly

sys.path.insert(0, str(ROOT / "cad"))
_LIBRARIES = next((ROOT / ".cache" / "cad" / "lib").glob("python*/site-packages"), None)
if _LIBRARIES is not None and (ROOT / ".cache" / "cad" / "racklet-setup").exists():
    sys.path.append(str(_LIBRARIES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries at import
        import build123d  # noqa: F401
        import trimesh  # noqa: F401

    collect_ignore: list[str] = []
    HAS_MODEL = True
else:
    HAS_MODEL = False

MODEL_TESTS = {"test_rack.py", "test_mistakes.py", "test_printing.py", "test_columns.py", "test_builds.py"}


def pytest_collect_file(file_path, parent):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pytest's hook
    """Leave out the model's tests, with the reason, where its libraries are not installed."""
    if HAS_MODEL or file_path.name not in MODEL_TESTS:
        return None
    return _Skipped.from_parent(parent, path=file_path)


class _Skipped(pytest.File):
    def collect(self) -> list[pytest.Item]:
        return [_SkippedItem.from_parent(self, name="the case's model")]


class _SkippedItem(pytest.Item):
    def runtest(self) -> None:
        pytest.skip("build123d is not installed; tools/cad-setup gets it (just cad does)")


@pytest.fixture(scope="session")
def rack() -> Assembly:
    """The rack of cad/parameters.toml."""
    from racklet_case.assembly import assemble  # noqa: PLC0415  # may not be installed
    from racklet_case.layout import layout  # noqa: PLC0415  # may not be installed

    return assemble(layout())


@pytest.fixture(scope="session")
def small() -> Assembly:
    """A rack of one node, without switch and controller: quick to check."""
    from racklet_case.assembly import assemble  # noqa: PLC0415  # may not be installed
    from racklet_case.layout import layout  # noqa: PLC0415  # may not be installed
    from racklet_case.parameters import parameters  # noqa: PLC0415  # may not be installed

    changes = {"rack.slots": 1, "rack.controller": False, "rack.switch": "none", "rack.fans": 0}
    return assemble(layout(parameters(changes)))
