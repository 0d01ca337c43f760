"""Late labels."""

from tests.unit.test_core_labels import test_labels_are_kept_in_order_and_found_by_source
