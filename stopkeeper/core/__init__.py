"""The rules of a trade: pure functions and values, standard library only, no clock, no logging, no I/O."""
