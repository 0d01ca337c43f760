"""Builds the doors to what is kept in the S3 store, or in the home where there is none."""

from __future__ import annotations

from core.adapters.dvc import DataVersions
from core.adapters.s3 import Bucket
from core.data.batch_files import Fetch, batches_folder
from core.data.training_data import TrainingDataStore, training_data_folder
from core.settings import Settings
from core.settings_store import S3Store


def connect_batch_versions(settings: Settings) -> DataVersions:
    """Builds the door to the rows of batches."""
    return DataVersions(batches_folder(settings.home), settings.store)


def connect_fetch(settings: Settings) -> Fetch:
    """Builds what brings the file of a batch that is missing in the home."""
    return connect_batch_versions(settings).fetch


def connect_training_data(settings: Settings) -> TrainingDataStore:
    """Builds the door to what runs were trained on."""
    versions = DataVersions(training_data_folder(settings.home), settings.store)
    return TrainingDataStore(settings.home, versions)


def connect_bucket(store: S3Store) -> Bucket:
    """Builds the door to the bucket itself."""
    return Bucket(store)
