"""Composition root and processes: the only reader of the environment and constructor of adapters."""
