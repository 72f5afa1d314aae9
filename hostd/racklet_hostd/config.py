"""The configuration: one file, `racklet.toml`, checked once.

`docs/racklet.toml` shows every key with its default.
"""

import ipaddress
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from racklet_hostd.config_file import ConfigFile
from racklet_hostd.errors import ConfigError, ConfigProblem

CONFIG_VARIABLE = "RACKLET_CONFIG"
MIB = 1 << 20
MAX_PORT = 0xFFFF
MAX_TITLE = 100


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


def default_socket() -> Path:
    """Return the unix socket of a hostd that was not told another."""
    with warnings.catch_warnings(
        action="ignore"
    ):  # that there is no $XDG_RUNTIME_DIR, and it takes the temporary folder
        return Path(platformdirs.user_runtime_dir("racklet", appauthor=False)) / "racklet.sock"


def _parse_address(value: object) -> object:
    if isinstance(value, Address | None):
        return value
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", str(value))
    if match is None or int(match[3]) > MAX_PORT:
        raise ValueError('an address such as "127.0.0.1:9550"')
    return Address(match[1] or match[2], int(match[3]))


def _only_loopback(address: Address | None) -> Address | None:
    if address is not None and not address.is_loopback:
        raise ValueError('a loopback address such as "127.0.0.1:50551", because plain TCP is for loopback only')
    return address


def _only_title(name: str) -> str:
    if not (0 < len(name) <= MAX_TITLE and name.isprintable()):
        raise ValueError(f"1 to {MAX_TITLE} printable characters")
    return name


def _only_resource_id(name: str) -> str:
    """AIP-122: what may stand in a resource name such as nodes/node-3."""
    if re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) is None:
        raise ValueError(
            "1 to 63 lowercase letters, digits and hyphens that begin with a letter and do not end with a hyphen"
        )
    return name


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


ListenAddress = Annotated[Address, BeforeValidator(_parse_address)]
NodeName = Annotated[str, AfterValidator(_only_resource_id)]
PathFromText = Annotated[Path, Field(strict=False)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RackConfig(_Section):
    """The rack as a whole."""

    name: Annotated[str, AfterValidator(_only_title)] = Field(
        default="rack", description="The rack's name, for people."
    )


class NodeConfig(_Section):
    """One node and the port its HAT hangs on."""

    name: NodeName = Field(
        description="The node's name in the API, metrics and folders: lowercase letters, digits and hyphens."
    )
    port: PathFromText = Field(
        description="The serial port of its HAT. Under /dev/serial/by-path it is a slot, whichever HAT is in it."
    )
    restore: Literal["kept", "off", "last", "on"] = Field(
        default="kept",
        description="What becomes of its supply when the HAT's input power was lost and is back: off, last (as it was"
        " asked to be last) or on. The HAT keeps that without hostd; kept leaves it what it has.",
    )
    restore_delay_ms: int = Field(
        default=0, ge=0, le=600_000, description="For how long the input power must be back before, in milliseconds."
    )


class StateConfig(_Section):
    """Where boot logs, events and counters are kept."""

    folder: PathFromText = Field(
        default_factory=lambda: Path(platformdirs.user_state_dir("racklet", appauthor=False)),
        description="The folder of everything that hostd keeps. One hostd at a time uses it.",
    )


class GrpcConfig(_Section):
    """Where the gRPC API listens."""

    socket: Annotated[PathFromText | None, BeforeValidator(_empty_is_none)] = Field(
        default_factory=default_socket,
        description='The unix socket; only its owner may connect. "" means none.',
    )
    tcp: Annotated[ListenAddress | None, BeforeValidator(_empty_is_none), AfterValidator(_only_loopback)] = Field(
        default=Address("127.0.0.1", 50551),
        description='The plain TCP address, on loopback only: whoever is on this computer may use it. "" means none.',
    )


class HttpConfig(_Section):
    """Where metrics and health are served."""

    address: ListenAddress = Field(
        default=Address("127.0.0.1", 9550), description="The address of /metrics, /healthz and /readyz."
    )


class LogConfig(_Section):
    """hostd's own log, on its standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written: debug, info, warning or error."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="One line for a person, or one JSON object a line: text or json."
    )


class TelemetryConfig(_Section):
    """What HATs report."""

    period_ms: int = Field(default=1000, ge=50, le=60_000, description="The time between two measurements of a HAT.")


class RetentionConfig(_Section):
    """How much is kept. What is beyond is thrown away, oldest first, and counted."""

    log_bytes_per_node: int = Field(
        default=256 * MIB, ge=MIB, le=1 << 50, description="The size of a node's boot logs on disk, in bytes."
    )
    boots_per_node: int = Field(default=1000, ge=2, le=1_000_000, description="The number of boots of a node.")
    events: int = Field(default=100_000, ge=100, le=100_000_000, description="The number of events of the rack.")


class StoreConfig(_Section):
    """How the disk is used."""

    # A HAT holds 2.8 s of its node's output at the full line rate. What is not on disk by then is lost at the HAT.
    sync_period_ms: int = Field(
        default=1000,
        ge=10,
        le=2000,
        description="The time between two flushes to disk; a HAT keeps its bytes until the flush.",
    )


class RackletConfig(_Section):
    """Everything in racklet.toml."""

    rack: RackConfig = Field(default_factory=RackConfig)
    nodes: Annotated[tuple[NodeConfig, ...], Field(strict=False)] = Field(default=(), alias="node")
    state: StateConfig = Field(default_factory=StateConfig)
    grpc: GrpcConfig = Field(default_factory=GrpcConfig)
    http: HttpConfig = Field(default_factory=HttpConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)


def find_config_file(option: Path | None) -> Path | None:
    """Return the file to load: `option`, else $RACKLET_CONFIG, ./racklet.toml, the user's config folder; else None.

    The first two are returned whether they exist or not, because somebody asked for them.
    """
    if option is not None:
        return option
    if variable := os.environ.get(CONFIG_VARIABLE):
        return Path(variable)
    folder = Path(platformdirs.user_config_dir("racklet", appauthor=False))
    return next((path for path in (Path("racklet.toml"), folder / "racklet.toml") if path.exists()), None)


def load_config(path: Path | None) -> RackletConfig:
    """Return the config in `path`; the defaults when it is None.

    Raises:
        ConfigError: with every problem in the file, each with its line.
    """
    if path is None:
        return RackletConfig()
    file = ConfigFile.read(path)
    try:
        config = RackletConfig.model_validate(file.data)
    except ValidationError as error:
        raise ConfigError(path, file.explain(error, RackletConfig)) from error
    if problems := tuple(_repetitions(config, file)):
        raise ConfigError(path, problems)
    return config


def _repetitions(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    for key in ("name", "port"):
        first: dict[object, int] = {}
        for index, node in enumerate(config.nodes):
            value = getattr(node, key)
            if value in first:
                yield file.problem(
                    ("node", index, key),
                    f'expected a {key} of its own, found "{value}", which node[{first[value]}] has already',
                )
            first.setdefault(value, index)
