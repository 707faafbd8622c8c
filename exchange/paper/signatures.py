"""Who signed an action: the venue's two signature schemes, recovered with eth_account.

L1 actions: keccak(msgpack(action) + nonce + vault flag + expiry) inside the EIP-712 struct `Agent`, chain 1337.
User-signed actions: their own EIP-712 struct in the domain `HyperliquidSignTransaction` (venue docs: signing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack
from eth_abi.abi import encode
from eth_account import Account as Wallet
from eth_account.messages import SignableMessage, encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes

from exchange.paper.wire import WireError, table, whole

_ZERO_ADDRESS = "0x0000000000000000000000000000000000000000"
_DOMAIN_TYPE = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_AGENT_TYPE = keccak(text="Agent(string source,bytes32 connectionId)")
_DOMAIN = keccak(
    encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [_DOMAIN_TYPE, keccak(text="Exchange"), keccak(text="1"), 1337, _ZERO_ADDRESS],
    )
)
SOURCES = {
    source: keccak(text=source) for source in ("a", "b")
}  # mainnet, testnet: the venue takes each on its own net

_CHAIN = ("hyperliquidChain", "string")
USER_SIGNED: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "approveAgent": (
        "HyperliquidTransaction:ApproveAgent",
        (_CHAIN, ("agentAddress", "address"), ("agentName", "string"), ("nonce", "uint64")),
    ),
    "approveBuilderFee": (
        "HyperliquidTransaction:ApproveBuilderFee",
        (_CHAIN, ("maxFeeRate", "string"), ("builder", "address"), ("nonce", "uint64")),
    ),
}


@dataclass(frozen=True)
class Commitment:
    """What an L1 action's signature commits to; `vault` in lower case, `expires_ms` as in the body."""

    action: dict[str, Any]
    nonce: int
    vault: str | None
    expires_ms: int | None

    def digest(self) -> bytes:
        """Return the hash of it."""
        data: bytes = msgpack.packb(self.action) + self.nonce.to_bytes(8, "big")
        data += b"\x00" if self.vault is None else b"\x01" + bytes.fromhex(self.vault[2:])
        if self.expires_ms is not None:
            data += b"\x00" + self.expires_ms.to_bytes(8, "big")
        return keccak(data)


def l1_signer(what: Commitment, signature: object, source: str) -> str:
    """Recover the address that signed an L1 action. A wrong signature yields some other address, as on the venue."""
    body = keccak(_AGENT_TYPE + SOURCES[source] + what.digest())
    return _recovered(SignableMessage(HexBytes(b"\x01"), HexBytes(_DOMAIN), HexBytes(body)), signature)


def user_signer(action: dict[str, Any], signature: object) -> str:
    """Recover the address that signed a user-signed action. Raise WireError if its fields do not fit its struct."""
    primary, members = USER_SIGNED[str(action.get("type"))]
    try:
        chain_id = int(str(action["signatureChainId"]), 16)
        # an agent without a name is signed with an empty name and sent without one (SDK: approve_agent)
        message = {name: action.get(name) if name != "agentName" else action.get(name) or "" for name, _ in members}
        typed = {
            "domain": {
                "name": "HyperliquidSignTransaction",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": _ZERO_ADDRESS,
            },
            "types": {
                primary: [{"name": name, "type": kind} for name, kind in members],
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
            },
            "primaryType": primary,
            "message": message,
        }
        signable = encode_typed_data(full_message=typed)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise WireError(f"user-signed action: {error}") from error
    return _recovered(signable, signature)


def _recovered(message: SignableMessage, signature: object) -> str:
    parts = table(signature)
    try:
        vrs = (whole(parts.get("v")), int(str(parts.get("r")), 16), int(str(parts.get("s")), 16))
        found: str = Wallet.recover_message(message, vrs=vrs)
    except (ValueError, TypeError, BadSignature, ValidationError) as error:
        raise WireError(f"signature: {error}") from error
    return found.lower()
