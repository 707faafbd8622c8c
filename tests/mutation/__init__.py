"""Mutation testing: each small change to core and engine must make a unit test, or a world of the simulation, fail."""
