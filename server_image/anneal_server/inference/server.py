"""Load the model, answer until SIGTERM, then finish what was begun."""

import signal
from types import FrameType

import uvicorn

from anneal_server.inference.app import Api
from anneal_server.inference.engine import Engine
from anneal_server.inference.limits import Gate
from anneal_server.inference.options import DRAIN_SECONDS, Options
from anneal_server.inference.weights import Weights


class Server(uvicorn.Server):  # type: ignore[misc]
    """Tells its engine that the end is near."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """No new requests; those under way are finished by uvicorn."""
        self._engine.slots.draining = True
        super().handle_exit(sig, frame)


def run(options: Options) -> int:
    """Serve until told to stop."""
    engine = Engine(options, Weights(options))
    config = uvicorn.Config(
        Gate(Api(engine).app(), options.max_body), host="0.0.0.0", port=options.port, access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS, timeout_keep_alive=30, server_header=False)
    # uvicorn raises the signal again when it is done; an orderly end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    Server(config, engine).run()
    return 0
