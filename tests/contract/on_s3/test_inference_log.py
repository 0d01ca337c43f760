"""The inference log: every row once, whenever compaction was killed."""

from __future__ import annotations

from pathlib import Path

from core.settings_store import S3Store
from tests.s3 import S3Server
from tests.unit.finished import paths_in
from tests.unit.test_core_inference_log import (
    log_in,
    rows,
    test_a_file_that_takes_in_another_is_read_once,
    test_a_request_is_found_by_its_id_wherever_it_lies,
    test_a_window_is_by_time_or_by_number,
    test_columns_of_another_contract_do_not_break_reading,
    test_groups_of_rows_outside_a_span_are_left_out,
    test_live_segments_and_compacted_files_are_one_log,
    test_no_day_is_read_but_that_of_the_request,
    test_nothing_logged_is_an_empty_window,
    test_old_days_are_pruned,
    test_the_last_rows_are_the_latest_although_an_older_segment_is_not_compacted,
    write,
)


def test_these_tests_are_on_s3(tmp_path: Path, s3: S3Server, store: S3Store) -> None:
    write(tmp_path, rows([1]))
    assert log_in(tmp_path).compact() == 1
    (path,) = paths_in(tmp_path)
    keys = s3.client().list_objects_v2(Bucket=store.bucket, Prefix=str(tmp_path)[1:])
    assert [one["Key"] for one in keys["Contents"] if not one["Key"].endswith("/")] == [
        f"{str(tmp_path)[1:]}/{path}"
    ]
    assert list(tmp_path.rglob("*.parquet")) == []
