"""The imperative shell around core: observe, decide, perform. It holds no rules."""
