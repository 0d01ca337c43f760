"""Tests of tests/unit that keep finished files, once more on an S3 store."""
