"""The names of the websocket's channels, and what each is about. Names only.

Source: venue docs `websocket/subscriptions`.
"""

from __future__ import annotations

BY_COIN = ("activeAssetCtx", "l2Book", "bbo", "trades", "candle")
BY_USER = (
    "orderUpdates",
    "userFills",
    "userEvents",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "clearinghouseState",
    "openOrders",
    "webData2",
    "webData3",
    "spotState",
    "notification",
)
STATES = ("clearinghouseState", "openOrders", "webData2", "webData3", "activeAssetData")  # a whole state on each change
PRICES = ("allMids", *BY_COIN)
PRIVATE = (*BY_USER, "activeAssetData")
CHANNELS = (*PRICES, *PRIVATE)
