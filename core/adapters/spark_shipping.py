"""How code gets to Spark's executors."""

from __future__ import annotations

import sys
from collections.abc import Collection

from pyspark import cloudpickle


def ship_by_value(modules: Collection[str]) -> None:
    """Lets functions of these modules travel to executors by value.

    Executors need not be able to import them, as they need for the core's own.
    """
    for name in modules:
        cloudpickle.register_pickle_by_value(sys.modules[name])
