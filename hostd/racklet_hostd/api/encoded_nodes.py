"""Nodes as bytes of the API, made once for everybody who is told the same."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from racklet.v1 import rack_pb2
from racklet_hostd.api import convert
from racklet_hostd.node import Node


class EncodedNodes:
    """The nodes of a rack, encoded.

    GetNodeResponse and WatchNodesResponse have their nodes in the same field, so their bytes are the same; and encoded
    messages one behind the other are one message with all their repeated fields.
    """

    def __init__(self) -> None:
        self._made: dict[str, _Encoded] = {}  # as many as there are nodes
        self._told: tuple[object, bytes] = (None, b"")

    def node(self, node: Node) -> bytes:
        """Return a node as it is now, as an encoded GetNodeResponse."""
        made = self._made.get(node.name)
        if made is None or made.revision != node.revision or made.unmarked != _unmarked(node):
            made = self._encode(node)
        return made.data

    def changes(self, nodes: Sequence[Node], seen: int, now: int) -> bytes:
        """Return those that changed after revision `seen`, as an encoded WatchNodesResponse. It is `now` at present."""
        what = (nodes, seen, now)
        if self._told[0] != what:
            self._told = (what, b"".join(map(self._marked, changed(nodes, seen))))
        return self._told[1]

    def _marked(self, node: Node) -> bytes:
        made = self._made.get(node.name)
        if made is None or made.revision != node.revision:
            made = self._encode(node)
        return made.data

    def _encode(self, node: Node) -> "_Encoded":
        data = rack_pb2.GetNodeResponse(node=convert.node_message(node)).SerializeToString()
        made = self._made[node.name] = _Encoded(node.revision, _unmarked(node), data)
        return made


class _Encoded(NamedTuple):
    """A node at a revision. `unmarked` is what changes without a new one."""

    revision: int
    unmarked: tuple[object, ...]
    data: bytes


def changed(nodes: Sequence[Node], seen: int) -> Iterator[Node]:
    """Yield the nodes that changed after revision `seen`."""
    return (node for node in nodes if node.revision > seen)


def _unmarked(node: Node) -> tuple[object, ...]:
    return node.store.totals, node.port, convert.bad_frames(node)
