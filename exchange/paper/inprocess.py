"""The paper venue in a thread of this process, over real HTTP on free ports: for tests and scripts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from exchange.paper.errors import PaperError
from exchange.paper.options import PaperOptions, Where
from exchange.paper.server import Server


@contextmanager
def start_in_thread(options: PaperOptions | None = None, **changes: Any) -> Iterator[tuple[Where, Server]]:
    """Run a venue in a thread of this process, on free ports unless said otherwise; for tests. Yields (where,
    server)."""
    options = replace(options or PaperOptions(port=0, control_port=0), **changes)
    started = threading.Event()
    made: list[tuple[Where, Server]] = []
    failure: list[BaseException] = []
    handles: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        ended = asyncio.Event()
        handles.append((asyncio.get_running_loop(), ended))
        server = Server(options)
        made.append((await server.start(), server))
        started.set()
        await ended.wait()
        await server.stop()

    def thread_main() -> None:
        try:
            asyncio.run(main())
        except PaperError as error:
            failure.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=thread_main, name="paper-venue", daemon=True)
    thread.start()
    started.wait(10)
    if failure or not made:
        raise failure[0] if failure else PaperError("the paper venue did not start within 10 s")
    try:
        yield made[0]
    finally:
        loop, ended = handles[0]
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)
        thread.join(5)
