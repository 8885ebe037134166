"""Throwaway servers and the sample data that the tests, the demo and the benchmarks share; never shipped."""
