"""The tour of the whole loop: ``make demo``."""
