"""Seeded cases of `tools.benchmarks.fuzz`: how inputs are made and spoiled, and the process that tries them."""
