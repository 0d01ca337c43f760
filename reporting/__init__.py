"""Writes docs/report.md, its pictures and its PDF from real runs: `make report`.

It stands beside the product, as the benchmarks do: no wheel and no image has it.
"""
