"""The paper venue: a server that speaks Hyperliquid's wire, for trading without money and for judging a trader.

It shares no parser, rounding or id code with the gateway or the heart; nothing here imports from them.
"""

from exchange.paper.errors import PaperError

__all__ = ["PaperError"]
