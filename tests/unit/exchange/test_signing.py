"""The signer against ccxt's and the official SDK's, and the key that never shows itself."""

import copy
import json
import pickle
import time
import traceback
from dataclasses import asdict
from typing import Any

import ccxt
import eth_account
import pytest
from hyperliquid.utils.signing import sign_l1_action as sdk_sign
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.account import VenueAccount
from exchange.signing import SecretKey, sign_l1_action

KEY = "0123456789012345678901234567890123456789012345678901234567890123"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
CCXT = ccxt.hyperliquid({"privateKey": "0x" + KEY})
WALLET = eth_account.Account.from_key("0x" + KEY)

_digits = st.text("0123456789", min_size=1, max_size=6)
_order = st.fixed_dictionaries(
    {
        "a": st.integers(0, 300),
        "b": st.booleans(),
        "p": _digits,
        "s": _digits,
        "r": st.booleans(),
        "t": st.sampled_from(
            [{"limit": {"tif": "Ioc"}}, {"trigger": {"isMarket": True, "triggerPx": "93000", "tpsl": "sl"}}]
        ),
        "c": st.text("0123456789abcdef", min_size=32, max_size=32).map(lambda text: "0x" + text),
    }
)
_action = st.one_of(
    st.lists(_order, min_size=1, max_size=3).map(lambda rows: {"type": "order", "orders": rows, "grouping": "na"}),
    st.integers(0, 2**40).map(lambda oid: {"type": "cancel", "cancels": [{"a": 3, "o": oid}]}),
    st.booleans().map(lambda cross: {"type": "updateLeverage", "asset": 1, "isCross": cross, "leverage": 5}),
)
_nonce = st.integers(1_600_000_000_000, 1_999_999_999_999)


def _numbers(signature: dict[str, Any]) -> tuple[int, int, int]:
    return int(signature["r"], 16), int(signature["s"], 16), signature["v"]


@settings(max_examples=25, deadline=None)
@given(_action, _nonce, st.sampled_from([None, VAULT]), st.one_of(st.none(), _nonce), st.booleans())
def test_signs_as_the_sdk_does(
    action: dict[str, Any], nonce: int, vault: str | None, expires: int | None, mainnet: bool
) -> None:
    ours = sign_l1_action(
        SecretKey(KEY), action, nonce, vault_address=vault, expires_after_ms=expires, source="a" if mainnet else "b"
    )
    assert _numbers(ours) == _numbers(sdk_sign(WALLET, action, vault, nonce, expires, mainnet))


@settings(max_examples=6, deadline=None)
@given(_action, _nonce, st.sampled_from([None, VAULT]), st.one_of(st.none(), _nonce))
def test_signs_byte_for_byte_as_ccxt_does(
    action: dict[str, Any], nonce: int, vault: str | None, expires: int | None
) -> None:
    ours = sign_l1_action(SecretKey(KEY), action, nonce, vault_address=vault, expires_after_ms=expires, source="a")
    theirs = CCXT.sign_l1_action(action, nonce, vault.removeprefix("0x") if vault else None, expires)
    assert ours == theirs


def test_signs_the_sdks_published_example() -> None:
    # tests/signing_test.py of hyperliquid-python-sdk, test_l1_action_signing_matches
    signed = sign_l1_action(SecretKey(KEY), {"type": "dummy", "num": 100000000000}, 0, source="a")
    assert int(signed["r"], 16) == 0x53749D5B30552AEB2FCA34B530185976545BB22D0B3CE6F62E31BE961A59298
    assert signed["r"].startswith("0x0")
    assert signed["v"] == 27


def test_a_signature_takes_a_fraction_of_a_millisecond() -> None:
    key, action = SecretKey(KEY), {"type": "cancel", "cancels": [{"a": 3, "o": 1234567}]}
    began = time.process_time()
    for nonce in range(100):
        sign_l1_action(key, action, 1_700_000_000_000 + nonce)
    assert (time.process_time() - began) * 10 < 1.0  # ms each; measured 0.1, ccxt's own takes 9


def test_the_address_is_the_keys() -> None:
    assert SecretKey("0x" + KEY).address == WALLET.address.lower()


def test_a_key_shows_itself_nowhere() -> None:
    key = SecretKey("0x" + KEY)
    account = VenueAccount("main", "hyperliquid", "live", key.address, key, guardian_key=key)
    for text in (repr(key), str(key), f"{key}", f"{key!r:>80}", repr(account), str(asdict(account))):
        assert KEY not in text
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        json.dumps(key)
    assert copy.deepcopy(key) is key
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("text", ["", "0x12", KEY + "0", "zz" + KEY[2:], "0" * 64, "f" * 64])
def test_a_wrong_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="private key") as caught:
        SecretKey(text)
    shown = "".join(traceback.format_exception(caught.value))
    assert len(text) < 10 or text not in shown
