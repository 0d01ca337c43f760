"""Backups: one archive with all of an installation that cannot be made again."""
