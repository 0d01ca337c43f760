"""What every Spark session of ours is told, wherever it runs."""

from __future__ import annotations

#: Task by task the driver plans and sends small pieces of work and computes next to nothing,
#: so the quick compiler serves it best: the optimizing one takes a third of the driver's CPU
#: time in a search, and a core from the executors. One thread collects as much garbage.
DRIVER_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def session_configs(cores: int) -> dict[str, str]:
    """Configuration of a session whose executors have ``cores`` in total.

    ``spark.default.parallelism`` is left out: a shuffle of RDDs then has as many tasks as
    the pinned data has partitions, not one for each core.
    """
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": DRIVER_JAVA,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(cores),
        # Results may not depend on how many executors share the rows.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
