"""Prints those of the pinned requirements, hashes included, that Racklet needs to run on this computer."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==.*(?:\n +.*)*", re.MULTILINE)


def needed(name: str, extras: frozenset[str], found: set[str]) -> None:
    """Add to `found` what the distribution `name` needs, and what this needs in turn."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        wanted = canonicalize_name(requirement.name)
        if wanted not in found:
            found.add(wanted)
            needed(wanted, frozenset(requirement.extras), found)


def pins(names: set[str]) -> Iterator[str]:
    """Yield the lines of requirements.txt for `names`, hashes included. Raises KeyError for a name it has not."""
    pinned = {canonicalize_name(match["name"]): match[0] for match in PINNED.finditer(REQUIREMENTS.read_text("utf-8"))}
    for name in sorted(names):
        yield pinned[name]


def main() -> None:
    """Print the requirements."""
    found: set[str] = set()
    needed("racklet", frozenset(), found)
    sys.stdout.writelines(f"{lines}\n" for lines in pins(found))


if __name__ == "__main__":
    main()
