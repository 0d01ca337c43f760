"""What `make bench` runs: each benchmark has its peer beside it in the same run."""
