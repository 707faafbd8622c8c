"""What a person touches: commands, tables and reports."""
