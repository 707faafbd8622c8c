"""The audit: nine ways to lose money through bugs, each shown to be caught when it is put back, and every path held."""
