"""The one module that knows apprise: how its URLs are written, what in them is secret, and sending through one.

apprise is imported where it is first needed. A URL is a secret as a whole (a Telegram token is its host, a webhook's
its path), so it is shown as ``scheme://***``: apprise's own privacy form leaves host, path and query readable.
"""

import logging
import re
import threading
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from stopkeeper.core.notices import Message

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

HIDDEN = "***"
_BETWEEN = re.compile(r"\s*,\s*(?=[\"']?[A-Za-z0-9]+://)")
_SCHEME = re.compile(r"([A-Za-z0-9]{2,20})://")
_HOST = re.compile(r"(?:localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9a-fA-F:.]+\])?(?::\d+)?")
_WORD = re.compile(r"[a-z]+(?:[-_][a-z]+)*")
WORD_LENGTH = 20
TOKEN_LENGTH = 8


def listed(raw: object) -> tuple[SecretStr, ...]:
    """Return the URLs of a list, or of "a,b" (environment). Raises ValueError that never holds one.

    As in apprise, a comma divides two URLs only where the next one begins behind it.
    """
    if isinstance(raw, str):
        inner = raw.strip()
        inner = inner[1:-1] if inner.startswith("[") and inner.endswith("]") else inner
        raw = [item.strip("\"' ") for item in _BETWEEN.split(inner)] if inner.strip() else []
    if not isinstance(raw, (list, tuple)):
        raise ValueError('must be a list of URLs, like ["tgram://TOKEN/CHAT"]')
    found = []
    for number, item in enumerate(raw, 1):
        value = item.get_secret_value() if isinstance(item, SecretStr) else item
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"number {number} must be a URL in quotes, like tgram://TOKEN/CHAT")
        found.append(SecretStr(value.strip()))
    return tuple(found)


def lines(text: str) -> tuple[SecretStr, ...]:
    """Return the URLs of a file, one a line; empty lines and comments (#) are left out."""
    kept = (line.strip() for line in text.splitlines())
    return tuple(SecretStr(line) for line in kept if line and not line.startswith("#"))


def check(urls: tuple[SecretStr, ...], key: str) -> None:
    """Check that apprise can send to every URL. Raises ValueError naming the key and the position, never the value."""
    for number, url in enumerate(urls, 1):
        if _service(url.get_secret_value()) is None:
            raise ValueError(
                f"{key}: number {number} of {len(urls)} is no URL that apprise can send to; write it as apprise's "
                "documentation of the service says, like tgram://TOKEN/CHAT"
            )


def masked(url: str) -> str:
    """Return what may be shown of a URL: its scheme."""
    match = _SCHEME.match(url)
    return f"{match[1].lower()}://{HIDDEN}" if match else HIDDEN


def tokens(url: str) -> tuple[str, ...]:
    """Return the texts of a URL that must not be shown by themselves either, the whole of it first.

    A plain host name, a port and ordinary words of the path stay, or they would be blotted out of every log line.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # no address by the rules, though apprise may read it
        return (url,)
    before, _, place = parts.netloc.rpartition("@")
    user, _, password = before.partition(":")
    pieces = [] if _HOST.fullmatch(place) else [place, *place.split(":")]
    maybe = [user, *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.fragment]
    telling = [password, *(each for each in pieces if _long(each)), *(each for each in maybe if _telling(each))]
    return tuple(dict.fromkeys([url, *(form for each in telling for form in (each, unquote(each)) if form)]))


def _telling(part: str) -> bool:
    plain = _WORD.fullmatch(part) is not None and len(part) < WORD_LENGTH
    return _long(part) and not plain


def _long(part: str) -> bool:
    return len(part) >= TOKEN_LENGTH and not part.isdigit()


class _Hush(logging.Filter):
    """Lets through only what apprise logs while one of our threads sends, with the tokens of its URL hidden.

    What it logs otherwise names whole URLs, above all those it cannot read.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        url = _sending.get()
        if url is None:
            return False
        record.msg, record.args, record.exc_info = _hidden(record.getMessage(), url), (), None
        return True


_hush = _Hush()
_sending: ContextVar[str | None] = ContextVar("stopkeeper_alert_url", default=None)


def _hidden(text: str, url: str) -> str:
    for token in tokens(url):
        text = text.replace(token, HIDDEN)
    return text


class Service:
    """One URL to send to, in a thread of its own: a service that hangs keeps nobody but itself."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url.get_secret_value()
        self.label = masked(self._url)
        self._last: Future[str] | None = None

    def send(self, message: Message) -> "Future[str]":
        """Begin to send; the future tells why it failed, "" = delivered. It never raises.

        While the last one has no answer yet, none is begun: there is at most one thread for a URL.
        """
        future: Future[str] = Future()
        future.set_running_or_notify_cancel()  # a caller that stops waiting does not cancel what is on its way
        if self._last is not None and not self._last.done():
            future.set_result("its last message has no answer yet")
            return future
        self._last = future
        name = f"alert-{self.label.partition(':')[0]}"
        threading.Thread(target=self._run, args=(message, future), name=name, daemon=True).start()
        return future

    def _run(self, message: Message, future: "Future[str]") -> None:
        why = "sending broke off"
        _sending.set(self._url)
        try:
            why = self._deliver(message)
        finally:
            future.set_result(why)

    def _deliver(self, message: Message) -> str:
        from apprise import NotifyFormat, NotifyType

        sender = _sender(self._url)
        if sender is None:
            return "apprise cannot read its URL"
        kind = NotifyType.FAILURE if message.alarm else NotifyType.INFO
        result = sender.notify(message.text, message.title, notify_type=kind, body_format=NotifyFormat.TEXT)
        if result:
            return ""
        said = [entry.message for entry in result.logs()]
        return said[-1].splitlines()[0] if said and said[-1] else "the service refused it"


def _sender(url: str) -> "Apprise | None":
    from apprise import Apprise

    service = _service(url)
    if service is None:
        return None
    sender = Apprise(asset=service.asset)
    sender.add(service)
    return sender


def _service(url: str) -> "NotifyBase | None":
    """Return apprise's object for a URL, or None where it cannot be read."""
    from apprise import Apprise, AppriseAsset, OverflowMode

    logger = logging.getLogger("apprise")
    logger.addFilter(_hush)
    logger.propagate = False  # what went wrong is taken from its result and told by us, once
    # both settings keep it in our thread: its own are waited for when a process ends, as long as a service hangs
    asset = AppriseAsset(app_id="Stopkeeper", app_desc="Stopkeeper", async_mode=False, service_timeout=0)
    service = Apprise.instantiate(url, asset=asset)
    if service is not None and "overflow=" not in url:
        service.overflow_mode = OverflowMode.SPLIT  # its default lets a service refuse what is too long for it
    return service
