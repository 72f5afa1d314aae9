"""The values that stand in `racklet.toml`, and what they may be."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

MAX_PORT = 0xFFFF
MAX_TITLE = 100
MAX_ENTRY = 300  # characters of one who has a role
ACCOUNT_KINDS = "user|group"
CERTIFICATE_KINDS = "cn|o|ou|uri|dns|email"
SHUTDOWN_CONSOLE_BYTES = 64  # what one frame of the link takes, so that it goes out as a whole


class Address(NamedTuple):
    """Where to listen. Port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        """As gRPC, a URL or a person writes it: `127.0.0.1:9550`, `[::1]:9550`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_address(value: object) -> object:
    """Return the address that a text names, an address or None as it is. Raises ValueError."""
    if isinstance(value, Address | None):
        return value
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", str(value))
    if match is None or int(match[3]) > MAX_PORT:
        raise ValueError('an address such as "127.0.0.1:9550"')
    return Address(match[1] or match[2], int(match[3]))


def only_loopback(address: Address | None) -> Address | None:
    """Return an address that only this computer can reach. Raises ValueError."""
    if address is not None and not address.is_loopback:
        raise ValueError(
            f'a loopback address such as "127.0.0.1:{address.port}", because without TLS it is for this computer only'
        )
    return address


def only_access_entry(entry: str) -> str:
    """Return who has a role. Raises ValueError."""
    if re.fullmatch(rf"({ACCOUNT_KINDS}|{CERTIFICATE_KINDS}):\S(.*\S)?", entry) is None or len(entry) > MAX_ENTRY:
        raise ValueError(
            "user:NAME or group:NAME of this computer, or of a certificate cn:, o:, ou:, uri:, dns: or email:"
        )
    return entry


def only_title(name: str) -> str:
    """Return a name for people. Raises ValueError."""
    if not (0 < len(name) <= MAX_TITLE and name.isprintable()):
        raise ValueError(f"1 to {MAX_TITLE} printable characters")
    return name


def only_resource_id(name: str) -> str:
    """AIP-122: what may stand in a resource name such as nodes/node-3."""
    if re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) is None:
        raise ValueError(
            "1 to 63 lowercase letters, digits and hyphens that begin with a letter and do not end with a hyphen"
        )
    return name


def only_keys(text: str) -> str:
    """Return what can be typed as one frame of the link. Raises ValueError."""
    if len(text.encode()) > SHUTDOWN_CONSOLE_BYTES:
        raise ValueError(f"at most {SHUTDOWN_CONSOLE_BYTES} bytes")
    return text


def only_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """No system runs a command with a NUL in it, nor one without a name."""
    if words and (not words[0] or any("\0" in word for word in words)):
        raise ValueError('a command in words, such as ["ssh", "node-1", "true"], without NUL')
    return words


def empty_is_none(value: object) -> object:
    """Return None for an empty text, since TOML has no null."""
    return None if value == "" else value


ListenAddress = Annotated[Address, BeforeValidator(parse_address)]
NodeName = Annotated[str, AfterValidator(only_resource_id)]
AccessEntries = Annotated[
    tuple[Annotated[str, AfterValidator(only_access_entry)], ...], Field(strict=False, max_length=1000)
]
Command = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(only_words)]
PathFromText = Annotated[Path, Field(strict=False)]
