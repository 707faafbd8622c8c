"""The in-process desk of the integration tests: real engine, gateway and venue over HTTP."""

from tests.integration.engine.conftest import market

__all__ = ["market"]
