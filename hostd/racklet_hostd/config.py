"""The configuration: one file, `racklet.toml`, checked once.

`docs/racklet.toml` shows every key with its default; `config_loading` reads it.
"""

from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from racklet_client.default_socket import default_socket
from racklet_hostd.config_values import (
    AccessEntries,
    Address,
    Command,
    ListenAddress,
    NodeName,
    PathFromText,
    empty_is_none,
    only_keys,
    only_loopback,
    only_title,
)

MIB = 1 << 20


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RackConfig(_Section):
    """The rack as a whole."""

    name: Annotated[str, AfterValidator(only_title)] = Field(default="rack", description="The rack's name, for people.")
    ports: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=("/dev/racklet/*",),
        description="Where HATs may be plugged in besides the ports of nodes: patterns of serial ports, each a slot.",
    )
    adopt: Literal["command", "first-use"] = Field(
        default="command",
        description="How a HAT comes to a node: by the command `racklet adopt`; or first-use: also one without a key"
        " that is plugged into the port of a node that has none. Whoever plugs in first is trusted then.",
    )


class LimitsConfig(_Section):
    """When a HAT trips its node's supply. Ranges and defaults are those of the firmware, `racklet_hat.limits`."""

    over_current_ma: int = Field(
        default=5_500, ge=1, le=6_000, description="The supply is cut when the current stays above this, in mA…"
    )
    over_current_hold_ms: int = Field(default=100, ge=0, le=10_000, description="…for this long, in milliseconds.")
    over_voltage_mv: int = Field(
        default=5_400, ge=5_101, le=5_500, description="The supply is cut at once above this voltage, in mV."
    )
    under_voltage_mv: int = Field(
        default=4_500, ge=4_000, le=5_099, description="The supply is cut when its voltage stays below this, in mV…"
    )
    under_voltage_hold_ms: int = Field(default=500, ge=0, le=10_000, description="…for this long, in milliseconds.")
    over_temperature_mc: int = Field(
        default=85_000,
        ge=1,
        le=100_000,
        description="The supply is cut at once when the power monitor is hotter than this, in thousandths of a °C.",
    )
    halt_current_ma: int = Field(
        default=120,
        ge=10,
        le=1_000,
        description="A node that was asked to shut down has halted when its current stays below this, in mA…",
    )
    halt_hold_ms: int = Field(default=500, ge=100, le=10_000, description="…for this long, in milliseconds.")
    fast_current_ma: int = Field(
        default=8_000,
        ge=1_000,
        le=8_000,
        description="The supply is cut at once when a single reading of the current is above this, in mA.",
    )
    thermal_current_ma: int = Field(
        default=5_000,
        ge=100,
        le=6_000,
        description="The supply is cut when the node is as hot as this current makes it in the long run (I²t), in mA…",
    )
    thermal_time_ms: int = Field(
        default=30_000, ge=1_000, le=600_000, description="…with this time constant, in milliseconds."
    )


class NodeConfig(_Section):
    """One node and the port its HAT hangs on."""

    name: NodeName = Field(
        description="The node's name in the API, metrics and folders: lowercase letters, digits and hyphens."
    )
    port: PathFromText | None = Field(
        default=None,
        description="The serial port where its HAT is expected. The node is where its HAT is, also in another slot.",
    )
    restore: Literal["kept", "off", "last", "on"] = Field(
        default="kept",
        description="What becomes of its supply when the HAT's input power was lost and is back: off, last (as it was"
        " asked to be last) or on. The HAT keeps that without hostd; kept leaves it what it has.",
    )
    restore_delay_ms: int = Field(
        default=0, ge=0, le=600_000, description="For how long the input power must be back before, in milliseconds."
    )
    peak_w: float | None = Field(
        default=None,
        ge=0.1,
        le=100,
        description="The most the node draws while it runs, in watts; a power budget needs it.",
    )
    inrush_w: float | None = Field(
        default=None, ge=0.1, le=100, description="The most it draws while it starts, in watts; without it peak_w."
    )
    start_s: float = Field(
        default=10,
        ge=0,
        le=600,
        description="How long it counts as starting once it is on, in seconds.",
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="The higher, the earlier it is admitted and the later it is shed."
    )
    shutdown_console: Annotated[str, AfterValidator(only_keys)] = Field(
        default="",
        description='What hostd types on its console when it is switched off gracefully, such as "poweroff\\n"; "":'
        " nothing.",
    )
    shutdown_command: Command = Field(
        default=(),
        description="A command, in words, that hostd runs then instead; no shell sees it.",
    )
    shutdown_timeout_s: int = Field(
        default=30, ge=1, le=600, description="How long that command may take before it is killed, in seconds."
    )
    limits: LimitsConfig | None = Field(
        default=None,
        description="When its HAT trips the supply. Without this table nothing is sent, and the HAT keeps what it has.",
    )


class WatchdogConfig(_Section):
    """What is expected of a node, and what hostd does when it does not come."""

    node: str = Field(description="The name of the node that is watched.")
    boot_s: int = Field(
        default=180, ge=0, le=3600, description="How long after its supply came on it need not give a sign, in seconds."
    )
    console_silence_s: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="How long its console may be silent, in seconds; 0 when silence tells nothing.",
    )
    probe_tcp: Annotated[ListenAddress | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description='A TCP address of it that must take connections; "" means none.'
    )
    probe_http: str = Field(default="", description='A page of it that must be there, as a URL; "" means none.')
    probe_command: Command = Field(
        default=(), description="A command, in words, that must end with exit code 0; no shell sees it."
    )
    probe_every_s: int = Field(default=10, ge=1, le=3600, description="The time between two probes, in seconds.")
    probe_timeout_s: int = Field(default=5, ge=1, le=600, description="How long a probe may take, in seconds.")
    probe_failures: int = Field(
        default=3, ge=1, le=100, description="After how many failed probes in a row the node is taken for dead."
    )
    cycles_per_hour: int = Field(
        default=0, ge=0, le=60, description="How often its supply is cycled in an hour at most; 0 means only report."
    )


class StateConfig(_Section):
    """Where boot logs, events and counters are kept."""

    folder: PathFromText = Field(
        default_factory=lambda: Path(platformdirs.user_state_dir("racklet", appauthor=False)),
        description="The folder of everything that hostd keeps. One hostd at a time uses it.",
    )


class GrpcConfig(_Section):
    """Where the gRPC API listens."""

    socket: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default_factory=default_socket,
        description='The unix socket; who connects is known by user and group, see docs/security.md. "" means none.',
    )
    tcp: Annotated[ListenAddress | None, BeforeValidator(empty_is_none)] = Field(
        default=None,
        description='The TCP address, such as "0.0.0.0:50551". It takes a certificate of every caller, see'
        ' docs/security.md. "" means none.',
    )
    plain_tcp: Annotated[ListenAddress | None, BeforeValidator(empty_is_none), AfterValidator(only_loopback)] = Field(
        default=None,
        description='A TCP address without TLS, on loopback only, such as "127.0.0.1:50551": whoever is on this'
        ' computer may use it. "" means none.',
    )
    plain_tcp_role: Literal["viewer", "operator", "admin"] = Field(
        default="viewer", description="The role of whoever comes by plain TCP: viewer, operator or admin."
    )


class AccessConfig(_Section):
    """Who has which role, and how much one may take."""

    viewer: AccessEntries = Field(default=(), description="Who may read.")
    operator: AccessEntries = Field(default=(), description="Who may also switch power, identify and type on consoles.")
    admin: AccessEntries = Field(default=(), description="Who may do everything.")
    connections_per_client: int = Field(default=200, ge=1, le=500, description="The most connections of one caller.")
    calls_per_client: int = Field(
        default=1000, ge=1, le=2000, description="The most calls that one caller has open, streams included."
    )
    changes_per_second: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="How many changes a second one caller may ask for in the long run; ten times as many at once.",
    )
    handshake_s: int = Field(
        default=10, ge=1, le=60, description="How long a connection may take to say who it is, in seconds."
    )


class TlsConfig(_Section):
    """hostd's certificate, and whose certificates it takes."""

    folder: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description='The folder that `racklet pki init` made; "" for certificates of another CA, below.'
    )
    certificate: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description="hostd's certificate and those between it and its CA, in PEM."
    )
    key: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description="Its private key, in PEM."
    )
    client_ca: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description="The CAs whose certificates callers may have, in PEM."
    )
    crl: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None, description='The revoked ones among them, in PEM; "": none.'
    )


class HttpConfig(_Section):
    """Where metrics and health are served."""

    address: Annotated[ListenAddress | None, BeforeValidator(empty_is_none), AfterValidator(only_loopback)] = Field(
        default=Address("127.0.0.1", 9550),
        description='The address of /metrics, /healthz and /readyz without TLS, on loopback only. "" means none.',
    )
    tls_address: Annotated[ListenAddress | None, BeforeValidator(empty_is_none)] = Field(
        default=None,
        description='The address of the same with TLS, such as "0.0.0.0:9551". Who reads /metrics or /readyz shows'
        ' a certificate or a token. "" means none.',
    )
    token_file: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None,
        description='The file of the SHA-256 of tokens, in hex, a line each; "": the file tokens in that folder.',
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
    log_days: int = Field(
        default=0, ge=0, le=36_500, description="How old boot logs get, in days since their last byte. 0 means any age."
    )
    events: int = Field(default=100_000, ge=100, le=100_000_000, description="The number of events of the rack.")
    audit_bytes: int = Field(
        default=16 * MIB, ge=MIB, le=1 << 40, description="The size of the audit log on disk, in bytes."
    )


class StoreConfig(_Section):
    """How the disk is used."""

    # A HAT holds at least 2.8 s of its node's output at 115200 baud. What is not on disk by then is lost at the HAT.
    sync_period_ms: int = Field(
        default=1000,
        ge=10,
        le=2000,
        description="The time between two flushes to disk; a HAT keeps its bytes until the flush.",
    )


class PowerConfig(_Section):
    """The rack's supply, which hostd keeps the nodes inside of."""

    capacity_w: float = Field(
        default=0, ge=0, le=100_000, description="What the rack's supply is rated for, in watts. 0 means no budget."
    )
    reserve_w: float = Field(default=0, ge=0, le=100_000, description="What of it is kept back, in watts.")
    hard_limit_percent: int = Field(
        default=110,  # supplies of this class limit their current from there on
        ge=100,
        le=200,
        description="Drawn above this share of the capacity, nodes are cut at once.",
    )
    exceeded_s: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="For how long claims or draw may exceed the budget before nodes are shed, in seconds.",
    )
    shed_grace_s: float = Field(
        default=60, ge=1, le=600, description="How long a node that is shed may take to shut down, in seconds."
    )
    queue: int = Field(default=64, ge=1, le=1000, description="The most starts that wait; the next is refused.")


class DoctorConfig(_Section):
    """What the boot doctor looks for."""

    signatures: Annotated[PathFromText | None, BeforeValidator(empty_is_none)] = Field(
        default=None,
        description='A file of your own signatures, which join those of hostd; see docs/doctor.md. "": none.',
    )


class RackletConfig(_Section):
    """Everything in racklet.toml."""

    rack: RackConfig = Field(default_factory=RackConfig)
    nodes: Annotated[tuple[NodeConfig, ...], Field(strict=False)] = Field(default=(), alias="node")
    watchdogs: Annotated[tuple[WatchdogConfig, ...], Field(strict=False)] = Field(default=(), alias="watchdog")
    state: StateConfig = Field(default_factory=StateConfig)
    grpc: GrpcConfig = Field(default_factory=GrpcConfig)
    access: AccessConfig = Field(default_factory=AccessConfig)
    tls: TlsConfig = Field(default_factory=TlsConfig)
    http: HttpConfig = Field(default_factory=HttpConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)
    power: PowerConfig = Field(default_factory=PowerConfig)
    doctor: DoctorConfig = Field(default_factory=DoctorConfig)
