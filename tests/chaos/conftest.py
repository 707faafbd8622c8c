"""The in-process desk of the integration tests, for reductions of what chaos found."""

from tests.integration.engine.conftest import market

__all__ = ["market"]
