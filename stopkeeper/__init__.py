"""Stopkeeper's heart: core decides, engine performs, store remembers, console shows."""
