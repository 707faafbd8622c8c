"""The sections of ``stopkeeper.toml`` as pydantic models: shape, bounds and meaning of every key.

A rule over a whole section raises ValueError with "key: sentence". docs/configuration.md is generated from the
descriptions below (settings_doc.py). Percentages are written "10%", durations "15s", money as a number or text.
"""

import re
from contextvars import ContextVar
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from workers import settings_types as kinds

#: The directory relative paths are taken from: that of the configuration file.
BASE_DIR: ContextVar[Path] = ContextVar("stopkeeper_base_dir", default=Path())

Percent = Annotated[Decimal, BeforeValidator(kinds.percent)]
Duration = Annotated[timedelta, BeforeValidator(kinds.duration)]
Usd = Annotated[Decimal, BeforeValidator(kinds.usd)]
Whole = Annotated[int, BeforeValidator(kinds.whole)]
Flag = Annotated[bool, BeforeValidator(kinds.flag)]
Url = Annotated[str, AfterValidator(kinds.http_url)]
Address = Annotated[str, BeforeValidator(kinds.address)]
PrivateKey = Annotated[SecretStr, BeforeValidator(kinds.private_key)]
Text = Annotated[str, BeforeValidator(kinds.text)]
Resolved = Annotated[Path, BeforeValidator(kinds.text), AfterValidator(lambda path: BASE_DIR.get() / path.expanduser())]
Symbols = Annotated[tuple[str, ...], BeforeValidator(kinds.symbols)]


class Section(BaseModel):
    """A section of the file: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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
        "`rediss://…` of a Redis >= 7.2 or Valkey with `appendonly yes`.",
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
    """One exchange login."""

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
        default=None, description="A second agent's key, for the guardian of the next release; checked, not used yet."
    )
    guardian_private_key_file: Resolved | None = Field(
        default=None, description="File that holds the guardian's key; checked, not used yet."
    )
    base_url: Url | None = Field(default=None, description="A proxy or simulator instead of the venue's own address.")
    ws_url: str | None = Field(default=None, description="Its websocket; derived from `base_url` if absent.")
    symbols: Symbols = Field(description='What may be traded: `["BTC", "ETH"]`, or the full form `BTC/USDC:USDC`.')
    leverage: Whole = Field(default=5, ge=1, le=50, description="Leverage of an entry that names none; 1 to 50.")
    margin_mode: Literal["isolated", "cross"] = Field(
        default="isolated", description="How a position's margin is kept."
    )
    orphan_policy: Literal["protect", "adopt", "close", "alert"] = Field(
        default="protect",
        description="What is done about a position no trade owns: `protect` places a stop for it and tells. "
        "`adopt`, `close` and `alert` come with a later release.",
    )

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
        if self.orphan_policy != "protect":
            raise ValueError(f"orphan_policy: {self.orphan_policy} is not there yet, it comes with a later release")
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


class RiskSection(Section):
    """Refusals at the door; each holds per account. Absent = no limit of that kind."""

    max_open_trades: Whole | None = Field(default=None, ge=1, description="Trades open at once.")
    max_leverage: Whole | None = Field(default=None, ge=1, le=50, description="Greatest leverage of an entry.")
    max_notional: Usd | None = Field(
        default=None, gt=0, description="Greatest notional of all open trades together, USD."
    )
    max_daily_loss: Usd | None = Field(
        default=None, gt=0, description="Loss of a UTC day after which entries stop, USD."
    )
    max_stop_distance: Percent | None = Field(
        default=None, gt=0, lt=1, description="Greatest distance from entry to stop."
    )
    entry_worst: Percent = Field(
        default=Decimal("0.02"), gt=0, lt=1, description="What a market entry may give up at most."
    )


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
        description="How far a fill may slip and still be its stop's.",
    )
    naked_limit: Duration = Field(
        default=timedelta(seconds=5),
        description="How long a position may be without cover before it is closed, 1 s to 60 s.",
    )

    @model_validator(mode="before")
    @classmethod
    def _not_yet(cls, data: Any) -> Any:
        return kinds.refuse_absent_stops(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        # the table of times: lease 10 s < refresh < a drive's own budget 60 s
        if not timedelta(seconds=10) < self.refresh < timedelta(seconds=60):
            raise ValueError('refresh: must be more than "10s" and less than "60s"')
        if not timedelta(seconds=1) <= self.naked_limit <= timedelta(seconds=60):
            raise ValueError('naked_limit: must be from "1s" to "60s"')
        return self


class AlertsSection(Section):
    """Where alarms are sent. They come with the next release."""

    urls: tuple[str, ...] = Field(default=(), description="Must be empty for now: alerts come with the next release.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.urls:
            raise ValueError("urls: alerts are not there yet, they come with the next release; leave urls empty")
        return self


class PaperSection(Section):
    """The paper venue `stopkeeper up` starts for accounts in mode paper without a `base_url`."""

    port: Whole = Field(default=8899, ge=1, le=65535, description="Port of the paper venue on 127.0.0.1.")
    control_port: Whole = Field(default=8898, ge=1, le=65535, description="Port of its control interface.")
    prices: Text = Field(default="walk", description="`walk`, a CSV file, or `mirror:URL`.")
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
