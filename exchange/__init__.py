"""ccxt lives here and nowhere else: the gateway to a venue, its quirks, and the paper venue."""
