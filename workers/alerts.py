"""Alerts: follows an account's journal and sends what a person must know to every configured service.

May live here: polling, sending, retrying, and what is kept over a restart. What is worth a message, and how often, is
decided in core/notices.py. No failure of a service or of the store leaves this module but as a log line.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_exponential

from stopkeeper.core.notices import MINUTE_MS, Message, Told, hear, speak
from stopkeeper.engine.ports import Ports, StoreGone, TextCache
from workers.alert_urls import Service
from workers.settings_sections import AlertsSection

PAGE = 500  # journal lines of one poll
KEEP_MS = 30 * 24 * 3600 * 1000  # how long a stopped account is remembered
MOST_PENDING = 50  # messages that wait for one service
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, how long is waited, how often is tried."""

    poll_s: float = 1.0
    answer_s: float = 10.0
    tries: int = 5
    backoff_s: float = 1.0  # before the second try; doubles, at most 16 times itself

    def wait(self) -> wait_exponential:
        """Return the pause before the next try."""
        return wait_exponential(multiplier=self.backoff_s, max=16 * self.backoff_s)


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that a service (by its position among the URLs) has not got yet."""

    service: int
    message: Message


@dataclass(frozen=True, slots=True)
class Kept:
    """What a restart goes on from: the last journal line read, what was told, what is still to be delivered."""

    after: str
    told: Told = Told()
    pending: tuple[Pending, ...] = ()


@dataclass
class _Channel:
    """One service, whether it fails at present, and how many messages it lost since it began to."""

    service: Service
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lost: int = 0
    failing: bool = False


def wall_ms() -> int:
    """Return this machine's time: the minute of the rate limit, and how old a line is, outlive a process."""
    return time.time_ns() // 1_000_000


class Alerter:
    """Tells what the journal of one account says. Of all processes one may run it: whoever leads the account."""

    def __init__(
        self,
        ports: Ports,
        texts: TextCache,
        section: AlertsSection,
        *,
        now_ms: Callable[[], int] = wall_ms,
        pace: Pace | None = None,
    ) -> None:
        self._ports = ports
        self._texts = texts
        self._wants = section.wants()
        self._urls = section.all_urls()
        self._now_ms = now_ms
        self._pace = pace or Pace()
        self._kept: Kept | None = None
        self._saved: Kept | None = None
        self._saving = asyncio.Lock()
        self._store_gone = False
        self._channels: list[_Channel] = []

    @property
    def lost(self) -> int:
        """Count the messages that a service did not take after all tries."""
        return sum(channel.lost for channel in self._channels)

    async def run(self) -> None:
        """Follow the journal until cancelled; without a URL there is nothing to do, and it only waits."""
        if not self._urls:
            await asyncio.Event().wait()
        self._kept = self._saved = None  # another process may have gone on meanwhile
        self._channels = [_Channel(Service(url)) for url in self._urls]
        async with asyncio.TaskGroup() as group:
            for number in range(len(self._channels)):
                group.create_task(self._deliver(number))
            while True:
                await self._poll()
                await asyncio.sleep(self._pace.poll_s)

    # --- from the journal to what is pending ---------------------------------------------------------------------

    async def _poll(self) -> None:
        try:
            if self._kept is None:
                self._kept = await asyncio.to_thread(self._load)
                self._wake()
            lines = await asyncio.to_thread(self._ports.journal.read, self._ports.account, self._kept.after, PAGE)
        except StoreGone as gone:
            self._note_gone(gone)
            return
        if self._store_gone:
            log.info("%s: alerts: the store is back", self._ports.account)
        self._store_gone = False
        self._take(lines)
        await self._save()  # before anything of it is sent: a restart goes on with what was not delivered
        self._wake()

    def _load(self) -> Kept:
        """Return what was kept, or the journal's end: what happened before alerts were configured is history."""
        text = self._texts.load(self._name())
        if text is not None:
            try:
                kept = _KEPT.validate_json(text)
                there = tuple(each for each in kept.pending if each.service < len(self._channels))
                return replace(kept, pending=there)
            except ValidationError:
                log.warning("%s: alerts: what was kept cannot be read; they begin anew, at now", self._ports.account)
        last = self._ports.journal.read(self._ports.account, "", 1)
        return Kept(last[-1][0] if last else "0")

    def _take(self, lines: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        assert self._kept is not None  # _poll has loaded it
        told = hear(self._kept.told, self._ports.account, lines, self._wants)
        told, message = speak(told, self._ports.account, self._now_ms(), self._wants)
        pending = self._kept.pending
        if message is not None:
            pending += tuple(Pending(number, message) for number in range(len(self._channels)))
        after = lines[-1][0] if lines else self._kept.after
        self._kept = Kept(after, told, pending)

    async def _save(self) -> None:
        async with self._saving:
            kept = self._kept
            if kept is None or kept == self._saved:
                return
            text = _KEPT.dump_json(kept).decode()
            try:
                await asyncio.to_thread(self._texts.save, self._name(), text, KEEP_MS)
                self._saved = kept
            except StoreGone as gone:
                self._note_gone(gone)

    def _name(self) -> str:
        return f"alerted:{self._ports.account}"

    def _note_gone(self, gone: StoreGone) -> None:
        if not self._store_gone:
            log.warning("%s: alerts: %s", self._ports.account, gone)
        self._store_gone = True

    # --- from what is pending to the services ----------------------------------------------------------------------

    def _wake(self) -> None:
        for number, channel in enumerate(self._channels):
            if self._waiting(number):
                channel.news.set()

    def _waiting(self, number: int) -> list[Pending]:
        return [each for each in self._kept.pending if each.service == number] if self._kept else []

    async def _deliver(self, number: int) -> None:
        """Deliver what is pending for one service, one message after the other, whatever the others do."""
        channel = self._channels[number]
        while True:
            await channel.news.wait()
            channel.news.clear()
            while waiting := self._waiting(number):
                for stale in waiting[:-MOST_PENDING]:
                    self._done(stale)
                    self._note(channel, "too many messages wait for it")
                first = waiting[-MOST_PENDING:][0]
                self._note(channel, await self._tried(channel.service, first.message))
                self._done(first)
                await self._save()

    async def _tried(self, service: Service, message: Message) -> str:
        """Send a message, again after a pause where that failed; return why the last try did, "" = delivered."""
        tries = AsyncRetrying(
            stop=stop_after_attempt(self._pace.tries),
            wait=self._pace.wait(),
            retry=retry_if_result(bool),
            retry_error_callback=_last,
        )

        async def once() -> str:
            try:
                async with asyncio.timeout(self._pace.answer_s):  # wait_for of 3.11 loses a cancel that meets an answer
                    return await asyncio.wrap_future(service.send(message))
            except TimeoutError:
                return f"no answer within {self._pace.answer_s:g} s"

        return str(await tries(once))

    def _done(self, delivered: Pending) -> None:
        assert self._kept is not None  # it was pending
        rest = list(self._kept.pending)
        rest.remove(delivered)
        self._kept = replace(self._kept, pending=tuple(rest))

    def _note(self, channel: _Channel, why: str) -> None:
        """Log the first loss of an outage and its end; what is lost between the two is counted."""
        name = f"{self._ports.account}: alerts: {channel.service.label}"
        if not why:
            if channel.failing:
                log.info("%s: delivers again; %d lost since the start", name, channel.lost)
            channel.failing = False
            return
        channel.lost += 1
        if not channel.failing:
            log.warning("%s: not delivered after %d tries: %s", name, self._pace.tries, why)
        channel.failing = True


_KEPT = TypeAdapter(Kept)


# --- without a journal: the guardian's, and a person's test -----------------------------------------------------------


class Immediate:
    """Sends at once and remembers nothing but its own rate; for when Redis is gone."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, pace: Pace | None = None) -> None:
        self._monotonic = monotonic
        self._pace = pace or Pace()
        self._lock = threading.Lock()
        self._sent_s: deque[float] = deque()

    def send(self, section: AlertsSection, title: str, text: str) -> bool:
        """Begin to send an alarm to every service and return at once; False = nothing is sent.

        None is configured, the rate is up, the file of urls cannot be read any more, or no thread is to be had: who
        calls has worse things to see to than any of these.
        """
        try:
            urls = section.all_urls()
            if not urls or not self._free(section.max_per_minute):
                return False
            message = Message(title, text, alarm=True)
            for url in urls:
                name = "alert-now"
                threading.Thread(target=self._tried, args=(Service(url), message), name=name, daemon=True).start()
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("alerts: not sent: %s", error)
            return False
        return True

    def _free(self, most: int) -> bool:
        with self._lock:
            now = self._monotonic()
            while self._sent_s and now - self._sent_s[0] >= MINUTE_MS / 1000:
                self._sent_s.popleft()
            if len(self._sent_s) >= most:
                return False
            self._sent_s.append(now)
            return True

    def _tried(self, service: Service, message: Message) -> None:
        tries = Retrying(
            stop=stop_after_attempt(self._pace.tries),
            wait=self._pace.wait(),
            retry=retry_if_result(bool),
            retry_error_callback=_last,
        )
        why = tries(lambda: answer(service, message, self._pace.answer_s))
        if why:
            log.warning("alerts: %s: not delivered after %d tries: %s", service.label, self._pace.tries, why)


_immediate = Immediate()


def send_now(section: AlertsSection, title: str, text: str) -> bool:
    """Begin to send an alarm to every service and return at once, whatever Redis does; never raises.

    False = no service is configured, none can be told, or ``max_per_minute`` were sent within the last minute.
    """
    return _immediate.send(section, title, text)


def try_all(section: AlertsSection, pace: Pace | None = None) -> list[tuple[int, str, str]]:
    """Send a test through every URL, once and at the same time; return position, scheme, why it failed ("" = taken)."""
    message = Message("Stopkeeper", "A test message: alerts arrive here.", alarm=False)
    seconds = (pace or Pace()).answer_s
    services = [Service(url) for url in section.all_urls()]
    with ThreadPoolExecutor(max(1, len(services))) as pool:
        ends = list(pool.map(lambda service: answer(service, message, seconds), services))
    return [(number, each.label, why) for number, (each, why) in enumerate(zip(services, ends, strict=True), 1)]


def answer(service: Service, message: Message, seconds: float) -> str:
    """Send one message, once, and wait for its end; return why it failed, "" = delivered."""
    try:
        return service.send(message).result(seconds)
    except NoAnswer:
        return f"no answer within {seconds:g} s"


def _last(state: RetryCallState) -> str:
    assert state.outcome is not None  # tenacity asks after a try
    return str(state.outcome.result())
