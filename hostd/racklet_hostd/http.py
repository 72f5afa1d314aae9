"""The HTTP pages: /metrics, /healthz, /readyz."""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder, gzip_accepted

from racklet_hostd import metrics
from racklet_hostd.config_values import Address
from racklet_hostd.listening import ListenError, why
from racklet_hostd.rack import Rack

log = logging.getLogger(__name__)

_STOP_GRACE_S = 1.0
_COMPRESSED_HERE_BYTES = 32 << 10  # a millisecond; a longer page is compressed by a thread
_PAGES = """\
There is no such page. These are here:
/metrics   what Prometheus reads
/healthz   200 while hostd lives
/readyz    200 while hostd can do its work, else 503 and why not
"""


class HttpServer:
    """The HTTP server. `not_ready` says why hostd cannot do its work, "" when it can."""

    def __init__(self, rack: Rack, address: Address, not_ready: Callable[[], str]) -> None:
        self.is_listening = False
        self.port = address.port
        self._address = address
        self._rack = rack
        self._not_ready = not_ready
        app = web.Application()
        app.add_routes(
            (
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.route("*", "/{path:.*}", self._elsewhere),
            )
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_GRACE_S)

    async def start(self) -> None:
        """Listen. Raises ListenError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host, self._address.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(str(self._address), why(error)) from error
        self.port = self._runner.addresses[0][1]
        self.is_listening = True
        log.info("HTTP", extra={"address": f"http://{Address(self._address.host, self.port)}"})

    async def stop(self) -> None:
        """Take no more requests, and let go of those that do not end in a second."""
        self.is_listening = False
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        page = await asyncio.to_thread(encode, metrics.Snapshot(self._rack))  # a tenth of a second for 1000 nodes
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        response = web.Response(body=page, headers=headers, zlib_executor_size=_COMPRESSED_HERE_BYTES)
        if gzip_accepted(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, []))):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        problem = self._not_ready()
        return web.Response(text=f"{problem or 'ready'}\n", status=503 if problem else 200)

    async def _elsewhere(self, _request: web.Request) -> web.Response:
        return web.Response(text=_PAGES, status=404)
