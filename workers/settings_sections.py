"""The sections of ``stopkeeper.toml`` as pydantic models: shape, bounds and meaning of every key.

A rule over a whole section raises ValueError with "key: sentence". docs/configuration.md is generated from the
descriptions below (settings_doc.py). Percentages are written "10%", durations "15s", money as a number or text.
"""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from stopkeeper.core.notices import Wants
from stopkeeper.core.policy import BreakEven, Trail
from workers import alert_urls
from workers import settings_types as kinds
from workers.settings_fields import (
    Address,
    Duration,
    EvenRule,
    Flag,
    Percent,
    Prices,
    PrivateKey,
    Resolved,
    Section,
    Symbols,
    Text,
    TrailRule,
    Url,
    Whole,
)
from workers.settings_risk import AccountRiskSection

AlertUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(alert_urls.listed)]


def one_secret(section: Section, name: str) -> None:
    """Check that a secret is not given both outright and as a file. Raises ValueError."""
    if getattr(section, name) is not None and getattr(section, f"{name}_file") is not None:
        raise ValueError(f"{name}: give {name} or {name}_file, not both")


def _key_in_file(name: str, path: Path | None) -> None:
    """Check that a key file can be read and holds a key. Raises ValueError that begins with the key it is about."""
    if path is None:
        return
    try:
        kinds.private_key(kinds.read_secret(path), f"the content of {path}")
    except ValueError as wrong:
        raise ValueError(f"{name}: {wrong}") from None


def secret_of(value: SecretStr | None, path: Path | None) -> SecretStr | None:
    """Return a secret given outright or read from its file. Raises ValueError naming the file, never its content."""
    return value if path is None else SecretStr(kinds.read_secret(path))


class RedisSection(Section):
    """The server that holds every record and carries the queue."""

    url: SecretStr = Field(
        default=SecretStr("embedded"),
        description='`"embedded"`: a server of our own, started by `stopkeeper up`; or `redis://HOST:PORT/DB`, '
        "`rediss://…` of a Redis >= 7.2 or Valkey with `appendonly yes` and `maxmemory-policy noeviction`.",
    )
    data_dir: Resolved = Field(
        default=Path("./stopkeeper-data"),
        validate_default=True,
        description="Where the embedded server, logs and state live.",
    )
    durability: Literal["local", "local+1", "local+2"] = Field(
        default="local",
        description="What must have confirmed a write before it counts: this server's disk (`local`), and one or two "
        "replicas' disks too (`local+1`, `local+2`).",
    )
    username: Text | None = Field(default=None, description="ACL user, where the URL does not say it.")
    password: SecretStr | None = Field(default=None, description="Password, where the URL does not hold it.")
    password_file: Resolved | None = Field(default=None, description="File that holds the password.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        one_secret(self, "password")
        kinds.redis_url(self.url.get_secret_value())
        if self.embedded and (self.username or self.password or self.password_file):
            raise ValueError("url: an embedded server takes no username or password; give a redis:// url for them")
        return self

    @property
    def embedded(self) -> bool:
        """Tell whether the server is our own."""
        return self.url.get_secret_value() == "embedded"

    @property
    def replicas(self) -> int:
        """Return how many replicas must confirm a write."""
        return int(self.durability.partition("+")[2] or 0)

    def full_url(self) -> SecretStr:
        """Return the URL with user name and password in it."""
        url = self.url.get_secret_value()
        password = secret_of(self.password, self.password_file)
        if self.embedded or (password is None and self.username is None):
            return SecretStr(url)
        parts = urlsplit(url)
        user = quote(self.username or parts.username or "", safe="")
        word = quote(password.get_secret_value() if password else parts.password or "", safe="")
        host = parts.netloc.rpartition("@")[2]
        return SecretStr(urlunsplit(parts._replace(netloc=f"{user}:{word}@{host}")))


class AccountSection(Section):
    """One exchange login. NAME is lower case letters, digits and single underscores, a letter first, at most 32."""

    venue: Literal["hyperliquid"] = Field(description="`hyperliquid`. OKX comes with a later release.")
    mode: Literal["paper", "testnet", "live"] = Field(
        default="paper",
        description="`paper` (the local paper venue, or `base_url`), `testnet`, or `live`: live must be said.",
    )
    wallet_address: Address = Field(description="The account's address: 0x and 40 hex digits; not the agent's.")
    vault_address: Address | None = Field(default=None, description="Sub-account or vault to trade for.")
    private_key: PrivateKey | None = Field(default=None, description="The agent's (API wallet's) key: 64 hex digits.")
    private_key_file: Resolved | None = Field(
        default=None, description="File that holds the key; better than `private_key`."
    )
    guardian_private_key: PrivateKey | None = Field(
        default=None, description="A second agent's key, for the guardian that acts while Redis is gone."
    )
    guardian_private_key_file: Resolved | None = Field(default=None, description="File that holds the guardian's key.")
    base_url: Url | None = Field(default=None, description="A proxy or simulator instead of the venue's own address.")
    ws_url: str | None = Field(default=None, description="Its websocket; derived from `base_url` if absent.")
    symbols: Symbols = Field(description='What may be traded: `["BTC", "ETH"]`, or the full form `BTC/USDC:USDC`.')
    leverage: Whole = Field(default=5, ge=1, le=50, description="Leverage of an entry that names none; 1 to 50.")
    margin_mode: Literal["isolated", "cross"] = Field(
        default="isolated", description="How a position's margin is kept: `isolated` or `cross`."
    )
    orphan_policy: Literal["protect", "adopt", "close", "alert"] = Field(
        default="protect",
        description="What is done about a position no trade owns: `protect` gives it a stop at `stops.orphan_stop`, "
        "which stays there; `adopt` lets the account's `trailing` and `breakeven` move that stop; `close` closes it; "
        "`alert` places nothing and tells until a person acts. What bears an id of ours is ours whatever is said here.",
    )

    trailing: TrailRule | None = Field(default=None, description="Instead of `stops.trailing` for this account.")
    breakeven: EvenRule | None = Field(default=None, description="Instead of `stops.breakeven` for this account.")
    risk: AccountRiskSection = Field(default_factory=AccountRiskSection)

    @model_validator(mode="before")
    @classmethod
    def _venue_exists(cls, data: Any) -> Any:
        return kinds.refuse_absent_venue(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        one_secret(self, "private_key")
        one_secret(self, "guardian_private_key")
        if self.private_key is None and self.private_key_file is None:
            raise ValueError("private_key_file: is missing; name the file that holds the agent's private key")
        if self.ws_url is not None and not re.match(r"wss?://[^/\s]+", self.ws_url):
            raise ValueError("ws_url: must begin with ws:// or wss://")
        _key_in_file("private_key_file", self.private_key_file)
        _key_in_file("guardian_private_key_file", self.guardian_private_key_file)
        return self

    def key(self) -> SecretStr:
        """Return the agent's private key: 64 hex digits after 0x. Raises ValueError if its file is gone."""
        secret = secret_of(self.private_key, self.private_key_file)
        return kinds.private_key(secret.get_secret_value() if secret else "")

    def guardian_key(self) -> SecretStr | None:
        """Return the guardian's private key, if one is configured."""
        secret = secret_of(self.guardian_private_key, self.guardian_private_key_file)
        return None if secret is None else kinds.private_key(secret.get_secret_value())


class StopsSection(Section):
    """How stops are kept."""

    refresh: Duration = Field(
        default=timedelta(seconds=15), description="How often every stop and every account is looked at; 11 s to 59 s."
    )
    worst: Percent = Field(default=Decimal("0.10"), gt=0, lt=1, description="Worst price of a stop, off its trigger.")
    orphan_stop: Percent = Field(
        default=Decimal("0.05"), gt=0, lt=1, description="Distance of a found position's stop."
    )
    liquidation_buffer: Percent = Field(
        default=Decimal("0.25"),
        gt=0,
        lt=1,
        description="Part of the way from entry to liquidation the stop stays clear of.",
    )
    exit_tolerance: Percent = Field(
        default=Decimal("0.01"),
        gt=Decimal("0.005"),
        lt=1,
        description="How much better than its trigger a fill may be and still be the stop's, where no id tells; on the "
        "other side the stop's worst price bounds it; more than 0.5 %.",
    )
    naked_limit: Duration = Field(
        default=timedelta(seconds=5),
        description="How long a position may be without cover before it is closed, 1 s to 60 s.",
    )
    trailing: TrailRule = Field(
        default=Trail(),
        validate_default=True,
        description="How the stop of a signal that says nothing itself trails: `off`, `2%`, `500` (USD), `atr:3`, "
        "`atr:3:14:5m` (multiple, bars, interval), `step:1%`, `step:1R`; with `@1R` or `@2%` for the gain it starts "
        "at.",
    )
    breakeven: EvenRule = Field(
        default=BreakEven(),
        validate_default=True,
        description="When the stop goes to where nothing is lost, fees included: `off`, after a gain of `1R` or "
        "`1.5%`, or `target` (after the first target).",
    )
    step: Percent = Field(
        default=Decimal("0.0025"), gt=0, lt=1, description="The least a stop is moved by a rule, of its price."
    )
    interval: Duration = Field(
        default=timedelta(seconds=30),
        description="The least time between two moves by a rule, at least 5 s: each move is two actions of the venue's "
        "budget.",
    )
    breach_margin: Percent = Field(
        default=Decimal("0.002"),
        gt=0,
        lt=1,
        description="How far beyond a stop that stands the price must be, by two sources, before the position is "
        "closed without it.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        # the table of times: lease 10 s < refresh < a drive's own budget 60 s
        if not timedelta(seconds=10) < self.refresh < timedelta(seconds=60):
            raise ValueError('refresh: must be more than "10s" and less than "60s"')
        if not timedelta(seconds=1) <= self.naked_limit <= timedelta(seconds=60):
            raise ValueError('naked_limit: must be from "1s" to "60s"')
        if self.interval < timedelta(seconds=5):
            raise ValueError('interval: must be at least "5s"')
        return self


class AlertsSection(Section):
    """Where a person is told, through apprise. Alarms are always sent; a URL holds tokens, so it is a secret."""

    urls: AlertUrls = Field(
        default=(),
        description='Services to send to, as apprise writes them: `["tgram://TOKEN/CHAT", "json://HOST/PATH"]`.',
    )
    urls_file: Resolved | None = Field(default=None, description="File with one URL per line; better than `urls`.")
    entries: Flag = Field(default=False, description="Whether entries are told too.")
    exits: Flag = Field(default=False, description="Whether booked exits are told too.")
    stop_moves: Flag = Field(default=False, description="Whether moves of a stop are told too.")
    repeat: Duration = Field(
        default=timedelta(minutes=15), description="After how long an alarm that goes on is told again, at least 1 m."
    )
    max_per_minute: Whole = Field(default=20, ge=1, le=60, description="Most messages of an account in a minute.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.urls and self.urls_file is not None:
            raise ValueError("urls: give urls or urls_file, not both")
        if self.repeat < timedelta(minutes=1):
            raise ValueError('repeat: must be at least "1m"')
        key = "urls" if self.urls_file is None else "urls_file"
        try:
            found = self.all_urls()
        except ValueError as wrong:
            raise ValueError(f"{key}: {wrong}") from None
        alert_urls.check(found, key)
        return self

    def all_urls(self) -> tuple[SecretStr, ...]:
        """Return the URLs given outright or in the file. Raises ValueError if its file is gone."""
        return self.urls if self.urls_file is None else alert_urls.lines(kinds.read_secret(self.urls_file))

    def wants(self) -> Wants:
        """Return what is told beside alarms, and how often."""
        repeat_ms = self.repeat // timedelta(milliseconds=1)
        return Wants(self.entries, self.exits, self.stop_moves, repeat_ms, self.max_per_minute)


class PaperSection(Section):
    """The paper venue `stopkeeper up` starts for accounts in mode paper without a `base_url`."""

    port: Whole = Field(default=8899, ge=1, le=65535, description="Port of the paper venue on 127.0.0.1.")
    control_port: Whole = Field(default=8898, ge=1, le=65535, description="Port of its control interface.")
    prices: Prices = Field(
        default="walk", description="`walk`, `still`, a CSV file (`FILE.csv@START`), or `mirror:URL`."
    )
    seed: Whole = Field(default=1, ge=0, description="Seed of the walk.")


class FlowerSection(Section):
    """The task monitor. It costs an event a task; switched off, workers send none and take no remote control."""

    enabled: Flag = Field(default=True, description="Whether workers send events, and `stopkeeper up` starts Flower.")
    port: Whole = Field(default=5555, ge=1, le=65535, description="Flower's port.")
    address: Text = Field(default="127.0.0.1", description="Address Flower listens on.")
    user: Text = Field(default="stopkeeper", description="Name to log in with.")
    password: SecretStr | None = Field(
        default=None, description="Password; generated into the data directory if absent."
    )
    password_file: Resolved | None = Field(default=None, description="File that holds the password.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        one_secret(self, "password")
        return self
