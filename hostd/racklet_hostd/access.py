"""Which role somebody has: by user and group on this computer, or by what a certificate says."""

import grp
import os
import pwd
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from racklet_hostd.config import AccessConfig
from racklet_hostd.role import Role, role_of_word

ORGANISATION = "Racklet"  # in the subject of certificates whose OU is a role


class UnknownAccountError(ValueError):
    """There is no such user or group on this computer."""


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """What a certificate says of its owner.

    Attributes:
        subject: as RFC 4514 writes it.
        names: such as "cn:ada", "o:Racklet", "ou:operator", "uri:spiffe://lab/ci", "dns:ci.lab", "email:ada@lab".
    """

    subject: str
    names: frozenset[str]


class AccessRules:
    """The rules of the config. Raises UnknownAccountError."""

    def __init__(self, config: AccessConfig) -> None:
        self._uids: dict[int, Role] = {}
        self._gids: dict[int, Role] = {}
        self._names: dict[str, Role] = {}
        for role in Role:  # the highest comes last and stays
            for entry in getattr(config, role.word):
                self._add(entry, role)
        for uid in (0, os.getuid()):
            self._uids[uid] = Role.ADMIN

    @property
    def is_for_owner_only(self) -> bool:
        """Whether nobody but the owner of hostd and root has a role over the unix socket."""
        return not self._gids and not set(self._uids) - {0, os.getuid()}

    def of_user(self, uid: int, gids: Collection[int]) -> Role | None:
        """Return the highest role of a user in those groups."""
        return max((role for role in self._of_user(uid, gids)), default=None)

    def of_certificate(self, certificate: CertificateNames) -> Role | None:
        """Return the highest role that the rules give the certificate.

        Without any rule for certificates, its role is the organizational unit of one whose organization is Racklet.
        """
        if self._names:
            return max((role for name, role in self._names.items() if name in certificate.names), default=None)
        if f"o:{ORGANISATION}" not in certificate.names:
            return None
        units = (role_of_word(name.removeprefix("ou:")) for name in certificate.names if name.startswith("ou:"))
        return max((role for role in units if role), default=None)

    def _of_user(self, uid: int, gids: Collection[int]) -> Iterator[Role]:
        if uid in self._uids:
            yield self._uids[uid]
        for gid in gids:
            if gid in self._gids:
                yield self._gids[gid]

    def _add(self, entry: str, role: Role) -> None:
        number = account_of(entry)
        if number is None:
            self._names[entry] = role
        else:
            (self._uids if entry.startswith("user:") else self._gids)[number] = role


def account_of(entry: str) -> int | None:
    """Return the uid of "user:NAME" or the gid of "group:NAME"; None for a name in a certificate.

    Raises UnknownAccountError.
    """
    kind, _, name = entry.partition(":")
    if kind not in {"user", "group"}:
        return None
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UnknownAccountError(f"there is no {kind} {name}") from error
