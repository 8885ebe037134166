"""Measurements on a real server; run `python -m benchmarks --help`."""
