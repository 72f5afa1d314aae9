"""The HTTP pages: /metrics, /healthz, /readyz."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import ExitStack

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client.exposition import choose_encoder, gzip_accepted

from racklet_hostd import metrics
from racklet_hostd.config import HttpConfig
from racklet_hostd.config_values import Address
from racklet_hostd.door.door import peer_name
from racklet_hostd.http_access import HttpAccess
from racklet_hostd.http_listener import HttpConnections, HttpListener
from racklet_hostd.listening import ListenError, tcp_listeners, why
from racklet_hostd.rack import Rack

log = logging.getLogger(__name__)

_STOP_GRACE_S = 1.0
_HANDSHAKE_S = 10
_SILENCE_S = 75  # until a connection is closed on which no request comes; Prometheus asks at least once a minute
_COMPRESSED_HERE_BYTES = 32 << 10  # a millisecond; a longer page is compressed by a thread
_PAGES = """\
There is no such page. These are here:
/metrics   what Prometheus reads
/healthz   200 while hostd lives
/readyz    200 while hostd can do its work, else 503 and why not
"""


class HttpServer:
    """The HTTP server. `not_ready` says why hostd cannot do its work, "" when it can.

    `turned_away` is told where somebody came from that was not let in, and why.

    `port` and `tls_port` are where it listens, also when the system chose.
    """

    def __init__(
        self,
        rack: Rack,
        config: HttpConfig,
        not_ready: Callable[[], str],
        turned_away: Callable[[str, str], None],
        access: HttpAccess | None = None,
    ) -> None:
        self.is_listening = False
        self.port: int | None = None
        self.tls_port: int | None = None
        self._config = config
        self._rack = rack
        self._not_ready = not_ready
        self._access = access
        self._servers: list[asyncio.Server] = []
        self.connections = HttpConnections(turned_away)
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            (
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.route("*", "/{path:.*}", self._elsewhere),
            )
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_GRACE_S, keepalive_timeout=_SILENCE_S)

    async def start(self) -> None:
        """Listen. Raises ListenError."""
        await self._runner.setup()
        config = self._config
        try:
            if config.address is not None:
                self.port = await self._listen(config.address, None)
                log.info("HTTP", extra={"address": f"http://{Address(config.address.host, self.port)}"})
            if config.tls_address is not None and self._access is not None:
                self.tls_port = await self._listen(config.tls_address, self._access.context)
                log.info("HTTP", extra={"address": f"https://{Address(config.tls_address.host, self.tls_port)}"})
        except ListenError:
            await self.stop()
            raise
        self.is_listening = True

    async def stop(self) -> None:
        """Take no more requests, and let go of those that do not end in a second."""
        self.is_listening = False
        for server in self._servers:
            server.close()
        await self._runner.cleanup()

    async def _listen(self, address: Address, context: ssl.SSLContext | None) -> int:
        """Listen on an address; return the port. Raises ListenError."""
        server = self._runner.server
        if server is None:
            raise ListenError(str(address), "the server is not set up")
        listeners = [HttpListener(bound, self.connections) for bound in tcp_listeners(address)]
        port: int = listeners[0].getsockname()[1]
        with ExitStack() as opened:
            for listener in listeners:
                opened.callback(listener.close)
            for listener in listeners:
                await self._serve(listener, server, context, address)
            opened.pop_all()
        return port

    async def _serve(
        self, listener: HttpListener, server: web.Server, context: ssl.SSLContext | None, address: Address
    ) -> None:
        try:
            listening = await asyncio.get_running_loop().create_server(
                server, sock=listener, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S if context else None
            )
        except OSError as error:
            raise ListenError(str(address), why(error)) from error
        self._servers.append(listening)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Over TLS, let through who may read. /healthz says nothing that is not known from its answering."""
        tls = request.get_extra_info("ssl_object")
        if tls is None or self._access is None or request.path == "/healthz":
            return await handler(request)
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        peer = peer_name(request.get_extra_info("peername"))
        objection = self._access.objection(tls, authorization)
        if not objection:
            return await handler(request)
        self._access.turned_away(peer, f"{request.path}: {objection}")
        headers = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="racklet"'}
        response = web.Response(text=f"{objection}\n", status=401, headers=headers)
        response.force_close()  # who comes again may be verified anew
        return response

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
