"""What every Spark session of ours is told, wherever it runs."""

from __future__ import annotations

#: For driver and executors. One thread collects as much garbage on small heaps as several.
#: Keeping the optimizing compiler off, or making it wait, spares a cold session some CPU
#: time and costs a warm one more than that.
JAVA_OPTIONS = "-XX:+UseSerialGC"


def session_configs(cores: int) -> dict[str, str]:
    """Configuration of a session whose executors have ``cores`` in total.

    ``spark.default.parallelism`` is left out: a shuffle of RDDs then has as many tasks as
    the pinned data has partitions, not one for each core.
    """
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(cores),
        # Results may not depend on how many executors share the rows.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
