"""The page that Prometheus reads, judged by prometheus_client's parsers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import exposition, parser
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser

from racklet_hostd import metrics
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack, until

Samples = dict[str, float]


def samples(rig: Rig, *, is_open_metrics: bool = False) -> Samples:
    """Return what the page says, by name and labels."""
    encode = openmetrics_exposition.generate_latest if is_open_metrics else exposition.generate_latest
    text = encode(metrics.Snapshot(rig.daemon.rack)).decode()
    parse = (
        openmetrics_parser.text_string_to_metric_families if is_open_metrics else parser.text_string_to_metric_families
    )
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in parse(text)
        for sample in family.samples
    }


def of_node(name: str, **labels: str) -> str:
    return f"{name}{sorted((labels | {'node': 'node-1'}).items())}"


async def test_both_formats_say_the_same_in_base_units(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"x" * 1000)
        hat.lose(11)
        hat.now.energy_uj = 2_500_000
        await until(lambda: hat.all_acknowledged)
        await rig.until_node(lambda node: node.energy_uj == 2_500_000)
        hat.is_mute = True
        page = samples(rig)
        frames = {key: value for key, value in page.items() if "frames" in key}
        assert samples(rig, is_open_metrics=True).keys() == page.keys()
    expected = {
        "racklet_supply_volts": 5.098,
        "racklet_supply_amperes": 0.612,
        "racklet_supply_watts": 3.12,
        "racklet_hat_temperature_celsius": 31.5,
        "racklet_energy_joules_total": 2.5,
        "racklet_hat_online": 1,
        "racklet_boots_total": 1,
        "racklet_boot_log_bytes_total": 1000,
        "racklet_boot_log_lost_bytes_total": 11,
    }
    assert {name: page[of_node(name)] for name in expected} == expected
    assert page[of_node("racklet_supply_state", state="on")] == 1
    assert page[of_node("racklet_supply_state", state="off")] == 0
    assert page[of_node("racklet_link_errors_total", reason="crc")] == 0
    info = {"hat_id": "0102030405060708", "board": "hat-a", "firmware": "0.1.0", "slot": "node-1"}
    assert page[of_node("racklet_hat_info", **info)] == 1
    assert len(frames) == 2
    assert all(value > 0 for value in frames.values())


async def test_of_an_offline_hat_only_counters_are_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.until_node(lambda node: node.energy_uj > 0)
        before = samples(rig)
        rig.hats["node-1"].unplug()
        await rig.until_node(lambda node: "does not open" in node.hat.problem)
        page = samples(rig)
    assert page[of_node("racklet_hat_online")] == 0
    assert not [key for key in page if "volts" in key or "watts" in key or "supply_state" in key]
    counters = [key for key in before if "_total" in key]
    assert all(page[key] >= before[key] for key in counters)


async def test_durable_counters_do_not_go_back_when_hostd_starts_again(tmp_path: Path) -> None:
    names = [of_node(f"racklet_{name}_total") for name in ("energy_joules", "boots", "boot_log_bytes")]
    seen: list[list[float]] = []
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        for _ in range(2):
            async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
                seen.append([samples(rig)[name] for name in names])
                hat.boot()
                hat.say(b"x" * 10)
                hat.now.energy_uj += 1_000_000
                await until(lambda: hat.all_acknowledged)
                energy_uj = hat.now.energy_uj
                await rig.until_node(lambda node, energy_uj=energy_uj: node.energy_uj == energy_uj)  # type: ignore[misc]
                seen.append([samples(rig)[name] for name in names])
    assert seen == [[0, 0, 0], [2, 1, 10], [2, 1, 10], [3, 2, 20]]


async def test_a_hat_cannot_break_the_page(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        node = rig.daemon.rack.node("node-1")
        node.hat = type(node.hat)(node.hat.state, "", 0, 1, "ab", 'a"b\\', "1\n2")
        page = samples(rig, is_open_metrics=True)
        assert samples(rig) == page
    assert of_node("racklet_hat_info", hat_id="ab", slot="node-1", board='a"b\\', firmware="1\n2") in page


async def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here; on Debian it is in the package prometheus")
    async with running_rack(tmp_path, ("node-1", "node-2")) as rig:
        await rig.until_node(lambda node: node.HasField("measurement"))
        page = exposition.generate_latest(metrics.Snapshot(rig.daemon.rack))
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)  # noqa: ASYNC221 - hostd is down
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
