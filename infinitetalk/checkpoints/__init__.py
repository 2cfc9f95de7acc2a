"""Weights from published files: strict reading, and tables from official key names to those of our networks."""
