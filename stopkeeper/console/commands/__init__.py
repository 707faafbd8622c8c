"""The commands, a module for each section of ``stopkeeper --help``; each lists its own in COMMANDS."""
