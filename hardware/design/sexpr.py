"""KiCad's file syntax: nested lists of bare words, quoted strings and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r'[()]|"(?:[^"\\]|\\.)*"|[^\s()"]+')
_DECIMALS = 4  # a tenth of a micrometre is more than any file here means


class Word(str):
    """A bare word, written without quotes."""

    __slots__ = ()


Atom = str | int | float
Node = list["Atom | Node"]


def parse(text: str) -> Node:
    """Return the one list that `text` holds. Raises ValueError when brackets do not match."""
    tokens = _TOKEN.findall(text)
    root: Node = []
    open_lists = [root]
    for token in tokens:
        if token == "(":  # noqa: S105 - a bracket
            fresh: Node = []
            open_lists[-1].append(fresh)
            open_lists.append(fresh)
        elif token == ")":  # noqa: S105 - a bracket
            open_lists.pop()
            if not open_lists:
                raise ValueError("a bracket is closed that nothing opened")
        else:
            open_lists[-1].append(_atom(token))
    if len(open_lists) != 1 or len(root) != 1 or not isinstance(root[0], list):
        raise ValueError("the text is not one complete list")
    return root[0]


def _atom(token: str) -> Atom:
    if token.startswith('"'):
        return token[1:-1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return Word(token)


def write(node: Node, depth: int = 0) -> str:
    """Return `node` as KiCad would indent it."""
    if not any(isinstance(entry, list) for entry in node):
        return f"({' '.join(_text(entry) for entry in node if not isinstance(entry, list))})"
    tabs = "\t" * (depth + 1)
    parts = [f"\n{tabs}{write(entry, depth + 1)}" if isinstance(entry, list) else f" {_text(entry)}" for entry in node]
    return f"({''.join(parts).removeprefix(' ')}\n{tabs[1:]})"


def _text(atom: Atom) -> str:
    if isinstance(atom, Word):
        return str(atom)
    if isinstance(atom, str):
        escaped = atom.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return f"{round(atom, _DECIMALS):g}" if abs(atom) < 1e5 else str(atom)  # noqa: PLR2004 - %g keeps six digits


def children(node: Node, name: str) -> Iterator[Node]:
    """Yield the lists in `node` that start with `name`."""
    for entry in node:
        if isinstance(entry, list) and entry and entry[0] == name:
            yield entry


def child(node: Node, name: str) -> Node:
    """Return the first list in `node` that starts with `name`. Raises KeyError when there is none."""
    for entry in children(node, name):
        return entry
    raise KeyError(name)


def value(node: Node, name: str) -> str:
    """Return what stands behind `name` in `node`, or an empty string."""
    for entry in children(node, name):
        return str(entry[1]) if len(entry) > 1 else ""
    return ""
