"""/metrics for Prometheus; /healthz (must it be restarted?) and /readyz (does it reconcile?) for the kubelet."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


async def serve(
    port: int, registry: CollectorRegistry, sick: Callable[[], str], awaited: Callable[[], str],
) -> web.AppRunner:
    """Listen on all addresses. `sick` says what is wrong and `awaited` what is still missing, in words; empty means
    nothing."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(sick())

    async def readyz(_: web.Request) -> web.Response:
        missing = awaited()
        return _verdict(f"waiting for {missing}" if missing else sick())

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _verdict(trouble: str) -> web.Response:
    return web.Response(status=503 if trouble else 200, text=trouble or "ok")
