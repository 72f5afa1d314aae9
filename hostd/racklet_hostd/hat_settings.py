"""What hostd sets at a HAT whenever it takes up the talk with it."""

from racklet.link.v1 import link_pb2
from racklet_hostd.config import LimitsConfig, NodeConfig
from racklet_link.requester import Operation

_POLICIES: dict[str, link_pb2.RestorePolicy.ValueType] = {
    "off": link_pb2.RESTORE_POLICY_OFF,
    "last": link_pb2.RESTORE_POLICY_LAST,
    "on": link_pb2.RESTORE_POLICY_ON,
}


def settings_of(node: NodeConfig) -> tuple[Operation, ...]:
    """Return the requests that bring a HAT to what its node's config says; none for what the config leaves to it."""
    settings: list[Operation] = []
    if node.limits is not None:
        settings.append(link_pb2.SetLimits(**node.limits.model_dump()))
    policy = _POLICIES.get(node.restore)
    if policy is not None:
        settings.append(link_pb2.SetRestore(policy=policy, delay_ms=node.restore_delay_ms))
    return tuple(settings)


def refusal_of(setting: Operation, reply: link_pb2.Reply) -> str:
    """Say, as a part of a sentence, what of a setting the HAT refused: key, value, and the range that hostd knows."""
    what = "limits" if isinstance(setting, link_pb2.SetLimits) else "restore policy"
    field = setting.DESCRIPTOR.fields_by_number.get(reply.detail) if reply.result == link_pb2.RESULT_INVALID else None
    if field is None:
        return f"it does not take the {what} of the config (result {reply.result})"
    range_words = _range_of(field.name) if isinstance(setting, link_pb2.SetLimits) else ""
    return f"it refuses {field.name} = {getattr(setting, field.name)} of the {what} in the config{range_words}"


def _range_of(key: str) -> str:
    marks = LimitsConfig.model_fields[key].metadata
    least, greatest = (next(getattr(mark, end) for mark in marks if hasattr(mark, end)) for end in ("ge", "le"))
    return f"; this hostd knows {least} to {greatest} for it"
