"""Helpers of the benchmarks: reports, the machine, models and inputs of random values, the judge of the miniature."""
