"""One login at one venue, as the configuration names it. No defaults about money, no network."""

from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from exchange.signing import SecretKey, Source, is_address

Mode = Literal["paper", "testnet", "live"]
_HTTP: dict[tuple[str, str], str] = {
    ("hyperliquid", "live"): "https://api.hyperliquid.xyz",
    ("hyperliquid", "testnet"): "https://api.hyperliquid-testnet.xyz",
}


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """An account: ``wallet_address`` is the master's, ``key`` the master's or an agent's that it approved.

    ``vault_address`` is the sub-account or vault traded for. ``base_url`` names any server that speaks the
    venue's wire; mode paper has no default one. Raises ValueError in one sentence, naming the field.
    """

    name: str
    venue: str
    mode: Mode
    wallet_address: str
    key: SecretKey
    vault_address: str | None = None
    base_url: str | None = None
    ws_url: str | None = None
    symbols: tuple[str, ...] = field(default=())
    guardian_key: SecretKey | None = None

    def __post_init__(self) -> None:
        for label, value in (("wallet_address", self.wallet_address), ("vault_address", self.vault_address)):
            if value is not None and not is_address(value):
                raise ValueError(f"accounts.{self.name}.{label} is {value!r}: it must be 0x and 40 hex digits")
        if self.base_url is None and (self.venue, self.mode) not in _HTTP:
            raise ValueError(f"accounts.{self.name}.base_url is missing: mode {self.mode} has no default server")

    @property
    def address(self) -> str:
        """Whose positions and orders these are: the vault's or sub-account's where one is named, else the wallet's."""
        return (self.vault_address or self.wallet_address).lower()

    @property
    def vault(self) -> str | None:
        """The vault or sub-account as writes name it, lower case."""
        return self.vault_address.lower() if self.vault_address else None

    @property
    def http_url(self) -> str:
        """The server's base url, without a slash at its end."""
        return (self.base_url or _HTTP[self.venue, self.mode]).rstrip("/")

    @property
    def stream_url(self) -> str:
        """The websocket's url: named, or derived from the base url (http -> ws, path /ws)."""
        return self.ws_url or "ws" + self.http_url.removeprefix("http") + "/ws"

    @property
    def host(self) -> str:
        """The server as rate limits are counted for it."""
        return urlsplit(self.http_url).netloc

    @property
    def source(self) -> Source:
        """The network a signature is for: "b" on the test network, else "a"; a paper venue takes both."""
        return "b" if self.mode == "testnet" else "a"

    def as_guardian(self) -> "VenueAccount":
        """Return the account as the guardian uses it: signed with its own agent key where one is configured."""
        return self if self.guardian_key is None else replace(self, key=self.guardian_key)
