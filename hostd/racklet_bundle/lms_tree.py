"""The signing side of LMS: the tree below a seed (RFC 8554, section 5 and appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from racklet_boot import lms

_SEED_MARK = b"\xff"


@dataclass(frozen=True)
class LmsTree:
    """One LMS private key: which leaves were used is not known here. A leaf that signs twice gives the key away."""

    lms_type: int
    ots_type: int
    identity: bytes
    seed: bytes

    @property
    def leaves(self) -> int:
        """How many signatures the key is good for."""
        return 1 << lms.height_of(self.lms_type)

    @cached_property
    def public_key(self) -> bytes:
        """The public key, as section 5.3 has it. The first use computes the tree: 2 s for 1024 leaves with W4."""
        types = self.lms_type.to_bytes(4, "big") + self.ots_type.to_bytes(4, "big")
        return types + self.identity + self._nodes[1]

    def sign(self, leaf: int, randomizer: bytes, message: bytes) -> bytes:
        """Return the signature by a leaf that has not signed yet."""
        q = leaf.to_bytes(4, "big")
        width, count, _ = lms.width_of(self.ots_type)
        digits = lms.message_digits(self.identity, q, randomizer, message, self.ots_type)
        chains = lms.Chains(self.identity, q)
        ends = [
            chains.walk(chain, 0, lms.digit(digits, chain, width), self._secret(q, chain)) for chain in range(count)
        ]
        node = self.leaves + leaf
        path = [self._nodes[(node >> level) ^ 1] for level in range(lms.height_of(self.lms_type))]
        head = q + self.ots_type.to_bytes(4, "big") + randomizer
        return head + b"".join(ends) + self.lms_type.to_bytes(4, "big") + b"".join(path)

    @cached_property
    def _nodes(self) -> list[bytes]:
        """The tree: the root at 1, the children of n at 2n and 2n + 1."""
        nodes = [b""] * (2 * self.leaves)
        for leaf in range(self.leaves):
            node = self.leaves + leaf
            nodes[node] = lms.leaf_of(self.identity, node, self._ots_key(leaf.to_bytes(4, "big")))
        for node in range(self.leaves - 1, 0, -1):
            nodes[node] = lms.parent_of(self.identity, node, nodes[2 * node], nodes[2 * node + 1])
        return nodes

    def _ots_key(self, q: bytes) -> bytes:
        width, count, _ = lms.width_of(self.ots_type)
        chains, last = lms.Chains(self.identity, q), (1 << width) - 1
        key = lms.ots_public_key(self.identity, q)
        for chain in range(count):
            key.update(chains.walk(chain, 0, last, self._secret(q, chain)))
        digest: bytes = key.digest()
        return digest

    def _secret(self, q: bytes, chain: int) -> bytes:
        return sha256(self.identity + q + chain.to_bytes(2, "big") + _SEED_MARK + self.seed).digest()
