"""Reading `racklet.toml`, and what no key can say alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from racklet_hostd.access import UnknownAccountError, account_of
from racklet_hostd.config import RackletConfig
from racklet_hostd.config_file import ConfigFile
from racklet_hostd.errors import ConfigError, ConfigProblem
from racklet_hostd.role import Role

CONFIG_VARIABLE = "RACKLET_CONFIG"
SERVICE_CONFIG = Path("/etc/racklet/racklet.toml")


def find_config_file(option: Path | None) -> Path | None:
    """Return the file to load; None when there is none.

    It is `option`, else $RACKLET_CONFIG, ./racklet.toml, that in the user's config folder, or that of the service.

    The first two are returned whether they exist or not, because somebody asked for them.
    """
    if option is not None:
        return option
    if variable := os.environ.get(CONFIG_VARIABLE):
        return Path(variable)
    folder = Path(platformdirs.user_config_dir("racklet", appauthor=False))
    places = (Path("racklet.toml"), folder / "racklet.toml", SERVICE_CONFIG)
    return next((path for path in places if path.exists()), None)


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
    checks = (_repetitions, _shutdown_problems, _power_problems, _watchdog_problems, _access_problems, _tls_problems)
    if problems := tuple(problem for check in checks for problem in check(config, file)):
        raise ConfigError(path, problems)
    return config


def _repetitions(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    for key in ("name", "port"):
        first: dict[object, int] = {}
        for index, node in enumerate(config.nodes):
            value = getattr(node, key)
            if value is None:
                continue
            if value in first:
                yield file.problem(
                    ("node", index, key),
                    f'expected a {key} of its own, found "{value}", which node[{first[value]}] has already',
                )
            first.setdefault(value, index)


def _shutdown_problems(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    for index, node in enumerate(config.nodes):
        if node.shutdown_console and node.shutdown_command:
            message = "expected one way to ask for a shutdown, found shutdown_console as well"
            yield file.problem(("node", index, "shutdown_command"), message)


def _power_problems(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    power = config.power
    if not power.capacity_w:
        return
    if power.reserve_w >= power.capacity_w:
        expected = f"expected less than capacity_w, which is {power.capacity_w:g}, found {power.reserve_w:g}"
        yield file.problem(("power", "reserve_w"), expected)
    for index, node in enumerate(config.nodes):
        if node.peak_w is None:
            yield file.problem(("node", index, "peak_w"), "expected this key, since power.capacity_w sets a budget")


def _watchdog_problems(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    names = {node.name for node in config.nodes}
    for index, watchdog in enumerate(config.watchdogs):
        place = ("watchdog", index)
        if watchdog.node not in names:
            yield file.problem((*place, "node"), f'expected the name of a node, found "{watchdog.node}"')
        if any(earlier.node == watchdog.node for earlier in config.watchdogs[:index]):
            yield file.problem((*place, "node"), f"expected one [[watchdog]] for {watchdog.node}, found another")
        probes = [key for key in ("probe_tcp", "probe_http", "probe_command") if getattr(watchdog, key)]
        if len(probes) > 1:
            yield file.problem((*place, probes[1]), f"expected one probe, found {probes[0]} as well")
        if not probes and not watchdog.console_silence_s:
            yield file.problem((*place, "node"), "expected console_silence_s or a probe, found neither")


def _access_problems(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    for role in Role:
        for index, entry in enumerate(getattr(config.access, role.word)):
            try:
                account_of(entry)
            except UnknownAccountError as error:
                expected = f"expected a user or group of this computer, but {error}"
                yield file.problem(("access", role.word, index), expected)


def _tls_problems(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    tls = config.tls
    own = {key: getattr(tls, key) for key in ("certificate", "key", "client_ca")}
    if tls.folder is not None:
        for key in ("certificate", "key", "client_ca", "crl"):
            if getattr(tls, key) is not None:
                yield file.problem(("tls", key), "expected nothing, since folder says where it is")
        return
    given = ", ".join(key for key, path in own.items() if path)
    for key in own if given else ():
        if own[key] is None:
            yield file.problem(("tls", key), f"expected this key beside {given}, found none")
    if not given:
        yield from _tls_missed(config, file)


def _tls_missed(config: RackletConfig, file: ConfigFile) -> Iterator[ConfigProblem]:
    for section, key in (("grpc", "tcp"), ("http", "tls_address")):
        if getattr(getattr(config, section), key) is not None:
            yield file.problem((section, key), "expected [tls] as well; `racklet pki init` makes what it takes")
