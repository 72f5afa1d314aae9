"""racklet.toml: every key is documented, and whatever is wrong is said with its line."""

from array import array
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from racklet.link.v1 import link_pb2
from racklet_hat.limits import Limits
from racklet_hostd.config import LimitsConfig, RackletConfig
from racklet_hostd.config_loading import find_config_file, load_config
from racklet_hostd.errors import ConfigError
from tests.conftest import ROOT

NODES = """
[[node]]
name = "node-1"
port = "/dev/ttyACM0"

[[node]]
name = "node-2"
port = "/dev/ttyACM1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "racklet.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    """Return what is said about a config file, without its folder."""
    with pytest.raises(ConfigError) as refused:
        load_config(written(folder, text))
    return str(refused.value).replace(f"{folder}/", "")


def test_without_a_file_everything_has_a_default() -> None:
    config = load_config(None)
    assert config.nodes == ()
    assert config.grpc.plain_tcp is None
    assert str(config.http.address) == "127.0.0.1:9550"
    assert config.grpc.socket is not None
    assert config.grpc.socket.name == "racklet.sock"
    assert config.state.folder.name == "racklet"


def test_a_file_is_read(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[http]\naddress = "[::1]:0"\n[grpc]\nplain_tcp = ""\nsocket = ""' + NODES))
    assert [(node.name, node.port) for node in config.nodes] == [
        ("node-1", Path("/dev/ttyACM0")),
        ("node-2", Path("/dev/ttyACM1")),
    ]
    assert (config.grpc.socket, config.grpc.plain_tcp) == (None, None)
    assert str(config.http.address) == "[::1]:0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rack]\nname = 3", "racklet.toml:2: rack.name: expected a text, found 3"),
        ("[rack]\nname = ''", 'racklet.toml:2: rack.name: expected 1 to 100 printable characters, found ""'),
        ("rack = 1", "racklet.toml:1: rack: expected a table, found 1"),
        ("[node]\nname = 'a'", "racklet.toml:1: node: expected [[node]], found a table"),
        ("\nnode = 5", "racklet.toml:2: node: expected [[node]], found 5"),
        (NODES + "[[node]]\nname = 'a'\nport = 7", "racklet.toml:11: node[2].port: expected a path, found 7"),
        (NODES + "[[node]]\nport = '/dev/x'", "racklet.toml:9: node[2].name: expected this key, found none"),
        ("[rack]\nadopt = 'any'", 'racklet.toml:2: rack.adopt: expected "command" or "first-use", found "any"'),
        ("[log]\nlevle = 'info'", "racklet.toml:2: log.levle: unknown key; did you mean level?"),
        ("[log]\nx = 1", "racklet.toml:2: log.x: unknown key; the keys here are format, level"),
        ("\n[gprc]\nx = 1", "racklet.toml:2: gprc: unknown key; did you mean grpc?"),
        ("log.level = 'loud'", 'expected "debug", "info", "warning" or "error", found "loud"'),
        (
            "[telemetry]\nperiod_ms = 20",
            "racklet.toml:2: telemetry.period_ms: expected a whole number from 50 to 60000, found 20",
        ),
        ("[telemetry]\nperiod_ms = 1.5", "period_ms: expected a whole number from 50 to 60000, found 1.5"),
        ("[telemetry]\nperiod_ms = true", "period_ms: expected a whole number from 50 to 60000, found true"),
        ("[store]\nsync_period_ms = 3000", "sync_period_ms: expected a whole number from 10 to 2000, found 3000"),
        (
            "[grpc]\nplain_tcp = '0.0.0.0:50551'",
            'because without TLS it is for this computer only, found "0.0.0.0:50551"',
        ),
        ("[grpc]\nsocket = 5", "racklet.toml:2: grpc.socket: expected a path, found 5"),
        ("[http]\naddress = 'localhost'", 'expected an address such as "127.0.0.1:9550", found "localhost"'),
        ("[http]\naddress = ':70000'", 'expected an address such as "127.0.0.1:9550", found ":70000"'),
        ("[http]\naddress = 'a:70000'", 'expected an address such as "127.0.0.1:9550", found "a:70000"'),
        ("[http]\naddress = 9550", 'expected an address such as "127.0.0.1:9550", found 9550'),
        ("[http]\naddress = ['a']", 'expected an address such as "127.0.0.1:9550", found an array'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["", "Node", "3", "-", "a-", "a.b", "a/b", "ä", "a" * 64])
def test_a_name_that_is_no_resource_id_is_refused(tmp_path: Path, name: str) -> None:
    assert "racklet.toml:2: node[0].name: expected 1 to 63 lowercase letters" in refusal(
        tmp_path, f'[[node]]\nname = "{name}"\nport = "/dev/x"'
    )


@pytest.mark.parametrize("name", ["a", "pi", "node-3", "n" * 63])
def test_a_name_that_is_a_resource_id_is_taken(tmp_path: Path, name: str) -> None:
    assert load_config(written(tmp_path, f'[[node]]\nname = "{name}"\nport = "/dev/x"')).nodes[0].name == name


def test_a_name_or_port_that_is_taken_is_refused_where_it_comes_again(tmp_path: Path) -> None:
    text = NODES + '[[node]]\nname = "node-1"\nport = "/dev/ttyACM1"'
    assert refusal(tmp_path, text).splitlines() == [
        'racklet.toml:10: node[2].name: expected a name of its own, found "node-1", which node[0] has already',
        'racklet.toml:11: node[2].port: expected a port of its own, found "/dev/ttyACM1", which node[1] has already',
    ]


def test_every_problem_is_said_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = '[store]\nsync_period_ms = 1\n[rack]\nnam = "x"\n[http]\naddress = 1'
    assert [line.split(":")[1] for line in refusal(tmp_path, text).splitlines()] == ["2", "4", "6"]


def test_lines_are_right_below_texts_of_many_lines(tmp_path: Path) -> None:
    text = '[rack]\nname = """\na\\\nb"""\n[log]\nlevel = "x"\n'
    assert refusal(tmp_path, text).startswith("racklet.toml:6: log.level")
    text = '[rack]\nname = "r"\n[log]\nlevel = """\na\nb"""\n'
    assert refusal(tmp_path, text).startswith("racklet.toml:4: log.level")


def test_lines_are_right_in_inline_tables_and_dotted_keys(tmp_path: Path) -> None:
    text = 'rack.name = "r"\nlog.level = 5\nhttp = { address = 5 }\n\nnode = [\n {name = "a", port = 5},\n]\n'
    assert [line.split(": ")[:2] for line in refusal(tmp_path, text).splitlines()] == [
        ["racklet.toml:2", "log.level"],
        ["racklet.toml:3", "http.address"],
        ["racklet.toml:6", "node[0].port"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rack]\nname = \n", "racklet.toml:2: not TOML: Invalid value"),
        ("[rack]\nname = 'a'\nname = 'b'", "racklet.toml:3: not TOML: Cannot overwrite a value"),
        ("[rack]\n\n[rack]\n", "racklet.toml:3: not TOML: Cannot declare ('rack',) twice"),
        ("[rack]\nname = '''a\n\n", "racklet.toml:2: not TOML: "),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_what_is_not_text_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "racklet.toml"
    path.write_bytes(b"[rack]\nname = '\xff'")
    with pytest.raises(ConfigError, match=r"racklet\.toml:2: expected UTF-8 text"):
        load_config(path)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "nowhere.toml")


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, f"[log]\nlevel = '{'x' * 10_000}'")) < 200


POWER = "\n[power]\ncapacity_w = 60\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NODES + POWER, "racklet.toml:2: node[0].peak_w: expected this key, since power.capacity_w sets a budget"),
        (
            "[power]\ncapacity_w = 60\nreserve_w = 60.0",
            "3: power.reserve_w: expected less than capacity_w, which is 60",
        ),
        ("[power]\ncapacity_w = -1", "2: power.capacity_w: expected a number from 0 to 100000, found -1"),
        ("[power]\ncapacity_w = nan", "power.capacity_w: expected a number from 0 to 100000, found NaN"),
        ("[power]\nqueue = 0", "2: power.queue: expected a whole number from 1 to 1000, found 0"),
        (NODES + "peak_w = 'much'", "9: node[1].peak_w: expected a number from 0.1 to 100, found"),
    ],
)
def test_a_power_budget_that_cannot_be_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_without_a_power_section_there_is_no_budget(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, NODES)).power.capacity_w == 0


def test_a_node_is_asked_to_shut_down_in_one_way(tmp_path: Path) -> None:
    text = NODES + 'shutdown_console = "poweroff\\n"\n'
    assert load_config(written(tmp_path, text)).nodes[1].shutdown_console == "poweroff\n"
    assert refusal(tmp_path, text + 'shutdown_command = ["true"]') == (
        "racklet.toml:10: node[1].shutdown_command: expected one way to ask for a shutdown,"
        " found shutdown_console as well"
    )
    long = refusal(tmp_path, f"{NODES}shutdown_console = '{'x' * 65}'")
    assert "racklet.toml:9: node[1].shutdown_console: expected at most 64 bytes, found" in long


@pytest.mark.parametrize("words", ['[""]', '["ssh", "a\\u0000b"]'])
def test_a_command_that_no_system_runs_is_refused(tmp_path: Path, words: str) -> None:
    said = 'expected a command in words, such as ["ssh", "node-1", "true"], without NUL, found an array'
    assert f"9: node[1].shutdown_command: {said}" in refusal(tmp_path, f"{NODES}shutdown_command = {words}")


def test_limits_belong_to_the_node_above_and_the_rest_of_them_has_defaults(tmp_path: Path) -> None:
    nodes = load_config(written(tmp_path, f"{NODES}[node.limits]\nunder_voltage_mv = 4700")).nodes
    assert [node.limits for node in nodes] == [None, LimitsConfig(under_voltage_mv=4700)]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("[node.limits]\nover_current_ma = 6001", "10: node[1].limits.over_current_ma: expected a whole number from 1"),
        ("[node.limits]\n\nunder_voltage_mv = 3999", "from 4000 to 5099, found 3999"),
        (
            "[node.limits]\nover_voltage = 5200",
            "node[1].limits.over_voltage: unknown key; did you mean over_voltage_mv?",
        ),
        ("limits.halt_current_ma = 9", "9: node[1].limits.halt_current_ma: expected a whole number from 10 to 1000"),
        ("limits = 5", "9: node[1].limits: expected a table, found 5"),
    ],
)
def test_limits_beyond_the_hardware_are_refused_with_their_range(tmp_path: Path, limits: str, said: str) -> None:
    assert said in refusal(tmp_path, NODES + limits)


def test_ranges_and_defaults_of_limits_are_those_of_the_firmware() -> None:
    fields = LimitsConfig.model_fields
    assert list(fields) == [field.name for field in link_pb2.SetLimits.DESCRIPTOR.fields]
    firmware, least, greatest = Limits(), Limits(), Limits()
    for index, (name, field) in enumerate(fields.items()):
        bounds = {key: getattr(mark, key) for mark in field.metadata for key in ("ge", "le") if hasattr(mark, key)}
        assert firmware.values[index] == field.default, name
        least.values[index], greatest.values[index] = bounds["ge"], bounds["le"]
        for values, beyond in ((least.values, bounds["ge"] - 1), (greatest.values, bounds["le"] + 1)):
            slots = array("i", firmware.values)
            slots[index] = values[index]
            assert Limits().take(slots) == 0, name
            slots[index] = beyond
            assert Limits().take(slots) == index + 1, name


@pytest.mark.parametrize(
    ("watchdog", "told"),
    [
        (
            "node = 'c'\nconsole_silence_s = 5",
            'racklet.toml:10: watchdog[0].node: expected the name of a node, found "c"',
        ),
        ("node = 'node-1'", "racklet.toml:10: watchdog[0].node: expected console_silence_s or a probe, found neither"),
        (
            "node = 'node-1'\nprobe_http = 'http://a'\nprobe_tcp = 'a:22'",
            "racklet.toml:11: watchdog[0].probe_http: expected one probe, found probe_tcp as well",
        ),
        (
            "node = 'node-1'\nconsole_silence_s = 5\n[[watchdog]]\nnode = 'node-1'\nconsole_silence_s = 5",
            "racklet.toml:13: watchdog[1].node: expected one [[watchdog]] for node-1, found another",
        ),
    ],
)
def test_a_watchdog_watches_a_node_by_something(tmp_path: Path, watchdog: str, told: str) -> None:
    assert told in refusal(tmp_path, f"{NODES}[[watchdog]]\n{watchdog}")


def test_the_example_of_six_boards_on_60_watts_holds_its_promise() -> None:
    config = load_config(ROOT / "docs" / "examples" / "six-boards-60-watts.toml")
    limit_w = config.power.capacity_w - config.power.reserve_w
    peaks_w = [node.peak_w or 0 for node in config.nodes]
    assert (len(peaks_w), sum(peaks_w)) == (6, 42)
    assert 4 * (config.nodes[0].inrush_w or 0) <= limit_w < 5 * (config.nodes[0].inrush_w or 0)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config(None).rack.name = "x"


def test_files_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("RACKLET_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_config_file(None) is None
    (tmp_path / "config" / "racklet").mkdir(parents=True)
    of_user = written(tmp_path / "config" / "racklet", "")
    assert find_config_file(None) == of_user
    written(tmp_path, "")
    assert find_config_file(None) == Path("racklet.toml")
    monkeypatch.setenv("RACKLET_CONFIG", "/from/variable.toml")
    assert find_config_file(None) == Path("/from/variable.toml")
    assert find_config_file(Path("option.toml")) == Path("option.toml")


def test_the_example_shows_every_key_with_its_default_and_its_description() -> None:
    text = (ROOT / "docs" / "racklet.toml").read_text()
    prose = " ".join(text.replace("\n# ", " ").split())
    example, default = load_config(ROOT / "docs" / "racklet.toml"), RackletConfig()
    for name, section in sections():
        header = {"nodes": "[[node]]", "watchdogs": "[[watchdog]]", "limits": "[node.limits]"}.get(name, f"[{name}]")
        assert header in text
        for key, field in section.model_fields.items():
            is_there = key in TABLES or f"\n{key} = " in text.partition(header)[2].partition("\n[")[0]
            assert is_there, f"{header} {key}"
            assert str(field.description) in prose, f"{header} {key}"
            if (name, key) not in {("state", "folder"), ("grpc", "socket")} and name not in LISTS:
                assert getattr(getattr(example, name), key) == getattr(getattr(default, name), key)
    assert example.nodes[0].limits == LimitsConfig()


LISTS = ("nodes", "watchdogs", "limits")
TABLES = ("limits",)  # inside another


def sections() -> list[tuple[str, type[BaseModel]]]:
    """Return the tables of the config and what stands in them."""
    found: list[tuple[str, type[BaseModel]]] = [("limits", LimitsConfig)]
    for name, field in RackletConfig.model_fields.items():
        section = get_args(field.annotation)[0] if name in LISTS else field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        found.append((name, section))
    return found


def test_every_number_in_the_config_has_its_unit_or_what_it_counts_in_its_name() -> None:
    endings = (
        "_ms",
        "_days",
        "_s",
        "_days",
        "_w",
        "_ma",
        "_mv",
        "_mc",
        "_bytes",
        "_percent",
        "_per_node",
        "events",
        "priority",
        "queue",
        "_failures",
        "_per_hour",
        "_per_client",
        "_per_second",
    )
    for _, section in sections():
        for key, field in section.model_fields.items():
            assert field.annotation not in {int, float} or key.endswith(endings)
