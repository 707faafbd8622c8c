"""The one way to the server: commands, scripts, confirmed writes; the one place that turns redis errors to StoreGone.

Reads and scripts that may run twice are tried again once when the connection broke; any other write never is,
because a lost reply does not say that the write was lost.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, TypeVar

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as Disconnected
from redis.retry import Retry
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from stopkeeper.engine.ports import StoreGone
from stopkeeper.store.durability import Confirms, StoreUnfit

T = TypeVar("T")
TIMEOUT_S = 5
ANEW_S = 1.0  # every thread that writes meets the same refusal


def connect(url: str) -> Redis:
    """Return a thread-safe client that never repeats a command by itself."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=64,
        timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=10,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


class Wire:
    """A client, its scripts and its way of confirming writes."""

    def __init__(self, client: Redis, confirms: Confirms) -> None:
        self._client: Any = client  # execute_command is untyped, and its reply is any shape
        self.confirms = confirms
        self._anew, self._next_anew = threading.Lock(), 0.0
        files = [file for file in (resources.files("stopkeeper.store") / "scripts").iterdir() if file.is_file()]
        self._scripts = {file.name.removesuffix(".lua"): client.register_script(file.read_text()) for file in files}

    def read(self, *command: Any) -> Any:
        """Run one read, again once if the connection broke. Raises StoreGone."""
        return self._again(lambda: self._client.execute_command(*command))

    def reads(self, *commands: Sequence[Any]) -> list[Any]:
        """Run reads as one transaction, so that they see one moment. Raises StoreGone."""

        def run() -> list[Any]:
            with self._client.pipeline(transaction=True) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(pipe.execute())

        return self._again(run)

    def write(self, *command: Any) -> Any:
        """Run one write, once. Raises StoreGone."""
        with self._gone_if_broken():
            return self._client.execute_command(*command)

    def script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script once. Raises StoreGone."""
        with self._gone_if_broken():
            return self._scripts[name](keys=list(keys), args=list(args))

    def repeatable(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script that may run twice without harm. Raises StoreGone."""
        return self._again(lambda: self._scripts[name](keys=list(keys), args=list(args)))

    def durable(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script and have it confirmed on disk in the same pipeline. Raises StoreGone if it was not."""
        script = self._scripts[name]
        rest = (len(keys), *keys, *args)
        reply = self.confirmed("EVALSHA", script.sha, *rest)
        if isinstance(reply, NoScriptError):  # a server just started: the script did not run, so it may be sent again
            reply = self.confirmed("EVAL", script.script, *rest)
        return reply

    def confirmed(self, *command: Any) -> Any:
        """Run a write and its confirmation in one pipeline on one connection. Raises StoreGone.

        Returns the write's reply, or the NoScriptError of a script the server does not know.
        """
        confirmation = self.confirms.command()
        with self._gone_if_broken():
            with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command(*command)
                if confirmation is not None:
                    pipe.execute_command(*confirmation)
                replies = pipe.execute(raise_on_error=False)
            if isinstance(replies[0], NoScriptError):
                return replies[0]
            if isinstance(replies[0], RedisError):
                raise replies[0]
            if confirmation is not None:
                self.confirms.judge(replies[1])
        return replies[0]

    def now_ms(self) -> int:
        """Return the server's time. Raises StoreGone."""
        return time_ms(self.read("TIME"))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def _connect_anew(self) -> None:
        """Leave a server that takes no more writes: it answers on, and a new connection may find who took its place.

        Connections that others use now stay theirs: closed under them, they would raise whatever a closed file raises.
        """
        with self._anew:
            if time.monotonic() < self._next_anew:
                return
            self._next_anew = time.monotonic() + ANEW_S
            old = self._client.connection_pool
            self._client.connection_pool = type(old)(
                connection_class=old.connection_class,
                max_connections=old.max_connections,
                timeout=TIMEOUT_S,
                **old.connection_kwargs,
            )
            old.disconnect(inuse_connections=False)

    @contextmanager
    def _gone_if_broken(self) -> Iterator[None]:
        """Turn whatever redis-py raises into StoreGone: touch nothing, leave."""
        try:
            yield
        except RedisError as error:
            # a primary that became a replica, or one whose replicas follow another
            if isinstance(error, ReadOnlyError) or str(error).startswith("NOREPLICAS"):
                self._connect_anew()
            unfit = isinstance(error, AuthenticationError | NoPermissionError)
            raise (StoreUnfit if unfit else StoreGone)(f"Redis: {type(error).__name__}: {error}") from error

    def _again(self, call: Callable[[], T]) -> T:
        tries = Retrying(
            stop=stop_after_attempt(2),
            wait=wait_fixed(0.05),
            retry=retry_if_exception_type(Disconnected),  # never a timeout: it has cost its 5 s already
            reraise=True,
        )
        with self._gone_if_broken():
            return tries(call)


FOR_EVER_MS = 10**12


def age(now_ms: int, at_ms: int) -> int:
    """Return how old a moment is. One that is to come was noted before the clock was set back: older than anything."""
    return now_ms - at_ms if now_ms >= at_ms else FOR_EVER_MS


def time_ms(reply: Any) -> int:
    """Return the reply to TIME in ms."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000
