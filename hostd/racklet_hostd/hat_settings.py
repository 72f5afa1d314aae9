"""What hostd sets at a HAT whenever it takes up the talk with it."""

from racklet.link.v1 import link_pb2
from racklet_hostd.config import NodeConfig
from racklet_link.requester import Operation

_POLICIES: dict[str, link_pb2.RestorePolicy.ValueType] = {
    "off": link_pb2.RESTORE_POLICY_OFF,
    "last": link_pb2.RESTORE_POLICY_LAST,
    "on": link_pb2.RESTORE_POLICY_ON,
}


def settings_of(node: NodeConfig) -> tuple[Operation, ...]:
    """Return the requests that bring a HAT to what its node's config says; none for what the config leaves to it."""
    policy = _POLICIES.get(node.restore)
    return () if policy is None else (link_pb2.SetRestore(policy=policy, delay_ms=node.restore_delay_ms),)
