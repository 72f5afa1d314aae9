"""Which role each method takes, and whether it changes something. The one table of it; docs/security.md shows it."""

from typing import Final, NamedTuple

from racklet_hostd.role import Role


class Row(NamedTuple):
    """What a method takes.

    Attributes:
        role: the least role that may call it.
        changes: whether it changes something: then it is on record in the audit log, and its rate is limited.
    """

    role: Role
    changes: bool = False


_RACK = "/racklet.v1.Rack/"
_READS = Row(Role.VIEWER)

METHODS: Final = {
    f"{_RACK}AdoptHat": Row(Role.ADMIN, changes=True),
    f"{_RACK}AttachConsole": Row(Role.VIEWER, changes=True),  # who types takes CONSOLE_WRITE as well
    f"{_RACK}DiagnoseNode": _READS,
    f"{_RACK}ForgetHat": Row(Role.ADMIN, changes=True),
    f"{_RACK}GetHat": _READS,
    f"{_RACK}GetNode": _READS,
    f"{_RACK}GetPowerPlan": _READS,
    f"{_RACK}GetRack": _READS,
    f"{_RACK}IdentifyHat": Row(Role.OPERATOR, changes=True),
    f"{_RACK}IdentifyNode": Row(Role.OPERATOR, changes=True),
    f"{_RACK}ListAuditEntries": _READS,
    f"{_RACK}ListBoots": _READS,
    f"{_RACK}ListEvents": _READS,
    f"{_RACK}ListHats": _READS,
    f"{_RACK}ListNodes": _READS,
    f"{_RACK}ReadBootLog": _READS,
    f"{_RACK}RunFaults": Row(Role.ADMIN, changes=True),
    f"{_RACK}SelfTestHat": Row(Role.OPERATOR, changes=True),
    f"{_RACK}SetPower": Row(Role.OPERATOR, changes=True),
    f"{_RACK}SetPowerBudget": Row(Role.ADMIN, changes=True),
    f"{_RACK}UpdateFirmware": Row(Role.ADMIN, changes=True),
    f"{_RACK}VerifyAudit": Row(Role.ADMIN),  # nothing is put on record while it reads
    f"{_RACK}WatchEvents": _READS,
    f"{_RACK}WatchNodes": _READS,
    "/grpc.health.v1.Health/Check": _READS,
    "/grpc.health.v1.Health/List": _READS,
    "/grpc.health.v1.Health/Watch": _READS,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _READS,
}
CONSOLE_WRITE: Final = Role.OPERATOR


def short_name(method: str) -> str:
    """Return the name of a method of the rack's service; of another service its whole path."""
    return method.removeprefix(_RACK)
