"""Redis lives here and nowhere else, with an in-memory twin of each part."""
