"""A real Prometheus reads /metrics."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.pki.making import utc_now
from racklet_hostd.role import Role
from tests.conftest import ROOT
from tests.hostd.rig import config_for, running_daemon
from tests.system.rig import Hostd, until_async, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
NODES = [f"node-{number}" for number in range(1, 6)]


def debian_program(name: str) -> str:
    """Return the path of a program of Debian's package `prometheus`; skip the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here; on Debian: apt install prometheus")
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostd]:
    """A hostd with five HATs online, of which one node is on."""
    async with (
        virtual_rack(tmp_path_factory.mktemp("rack"), len(NODES)) as rack,
        Hostd(tmp_path_factory.mktemp("hostd"), rack.config_toml()) as hostd,
    ):
        await hostd.until_online(*NODES)
        await hostd.power(rack.hats[0])
        yield hostd


class Prometheus:
    """A running Prometheus, asked over its HTTP API."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            async with self._session.get(f"{self._address}/-/ready") as page:
                return page.ok
        except aiohttp.ClientError:
            return False

    async def targets(self) -> list[dict[str, Any]]:
        """Return what it scrapes."""
        return (await self._get("targets"))["activeTargets"]

    async def query(self, expression: str) -> dict[str, float]:
        """Return the newest value of each series, by node."""
        answer = await self._get("query", query=expression)
        return {series["metric"]["node"]: float(series["value"][1]) for series in answer["result"]}

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        async with self._session.get(f"{self._address}/api/v1/{what}", params=parameters) as page:
            answer = await page.json()
        assert answer["status"] == "success", answer
        return answer["data"]


@asynccontextmanager
async def running_prometheus(folder: Path, scrape_configs: str) -> AsyncIterator[Prometheus]:
    """Run Prometheus with all it has in `folder`, scraping every second."""
    program = debian_program("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(f"global:\n  scrape_interval: 1s\n{scrape_configs}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}")
    log = folder / "prometheus.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(program, *options, stdout=sink, stderr=sink)
    try:
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(f"http://{address}", session)
            await until_async(prometheus.is_ready)
            yield prometheus
    except TimeoutError as error:
        raise AssertionError(log.read_text()) from error
    finally:
        process.kill()
        await process.wait()


def documented(page: str, changes: dict[str, str]) -> str:
    """Return the scrape config that a page of the documentation shows, with its files and addresses changed."""
    text = (ROOT / "docs" / page).read_text().partition("```yaml\n")[2].partition("```")[0]
    for there, here in changes.items():
        assert there in text, there
        text = text.replace(there, here)
    return text


async def until_scraped(prometheus: Prometheus) -> None:
    async def was_scraped() -> bool:
        return [target["health"] != "unknown" for target in await prometheus.targets()] == [True]

    await until_async(was_scraped)
    [target] = await prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.parametrize("way", ["token", "certificate"])
async def test_prometheus_scrapes_over_tls_as_the_documentation_shows(tmp_path: Path, way: str) -> None:
    pki = PkiFolder(tmp_path / "pki")
    pki.begin("Racklet CA", ("localhost",), utc_now())
    bundle = pki.issue("prometheus", Role.VIEWER, utc_now())
    (tmp_path / "token").write_text(pki.add_token() + "\n")
    http = {"address": "", "tls_address": "127.0.0.1:0"}
    (tmp_path / "hostd").mkdir()
    served = config_for(tmp_path / "hostd", (), http=http, tls={"folder": str(pki.path)})
    async with running_daemon(served) as (daemon, _):
        files = {
            "/etc/prometheus/racklet.token": str(tmp_path / "token"),
            "/etc/prometheus/racklet-ca.crt": str(pki.ca_certificate),
            "rack.lab:9551": f"localhost:{daemon.http.tls_port}",
        }
        config = documented("security.md", files)
        if way == "certificate":
            credentials = f"credentials_file: {tmp_path / 'token'}"
            config = config.replace(f"    authorization:\n      {credentials}\n", "").replace(
                "    tls_config:\n",
                f"    tls_config:\n      cert_file: {bundle}/client.crt\n      key_file: {bundle}/client.key\n",
            )
            assert "authorization" not in config
        async with running_prometheus(tmp_path, config) as prometheus:
            await until_scraped(prometheus)


async def test_prometheus_scrapes_without_an_error(hostd: Hostd, tmp_path: Path) -> None:
    config = documented("hostd.md", {"127.0.0.1:9550": hostd.http.removeprefix("http://")})
    async with running_prometheus(tmp_path, config) as prometheus:
        await until_scraped(prometheus)

        async def is_stored() -> bool:
            return bool(await prometheus.query("racklet_supply_volts"))

        await until_async(is_stored)
        volts = await prometheus.query("racklet_supply_volts")
        assert sorted(volts) == NODES
        assert 5.0 < volts["node-1"] < 5.2
        assert await prometheus.query('racklet_supply_state{state="on"} == 1') == {"node-1": 1}
        assert len(await prometheus.query("racklet_energy_joules_total")) == len(NODES)


@pytest.mark.parametrize("accept", ["text/plain", "*/*"])
async def test_promtool_has_nothing_to_say(hostd: Hostd, accept: str) -> None:
    promtool = debian_program("promtool")
    async with hostd.session.get(f"{hostd.http}/metrics", headers={"Accept": accept}) as page:
        text = await page.read()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(20):
        output, errors = await process.communicate(text)
    assert (process.returncode, output, errors) == (0, b"", b"")
