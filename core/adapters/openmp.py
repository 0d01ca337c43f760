"""Lends LightGBM an OpenMP runtime where the system has none.

NannyML imports LightGBM, whose wheel expects ``libgomp.so.1`` of the system; a bare Debian
has no such package. Scikit-learn's wheel brings the same library under a name of its own.
"""

from __future__ import annotations
