"""An S3 store of the tests' own: moto's server, in a process of its own on the loopback."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx

from core.settings_store import S3Store
from tests.ray_head import free_ports

KEY_ID, SECRET, REGION = "pilothouse-test", "not-a-real-secret", "us-east-1"
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """A server that runs, and what it is asked with."""

    endpoint: str

    def create_bucket(self, name: str = "") -> S3Store:
        """An empty bucket, seen from a folder in it; of a name that nobody has taken."""
        name = name or f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return S3Store(name, "pilothouse", self.endpoint, REGION, KEY_ID, SECRET)

    def keys(self, store: S3Store) -> list[str]:
        """Names of everything that lies in the store's folder, relative to it."""
        pages = self.client().get_paginator("list_objects_v2")
        start = f"{store.prefix}/"
        found = (
            one["Key"]
            for page in pages.paginate(Bucket=store.bucket, Prefix=start)
            for one in page.get("Contents", [])
        )
        return sorted(key.removeprefix(start) for key in found if not key.endswith("/"))

    def client(self):
        """Amazon's own client."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )

    @staticmethod
    def settings(store: S3Store) -> dict[str, str]:
        """The settings by which an installation keeps its data there."""
        return {
            "store_url": f"s3://{store.path}",
            "s3_endpoint": store.endpoint,
            "s3_region": store.region,
            "s3_access_key_id": store.key_id,
            "s3_secret_access_key": store.secret,
        }


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """Starts a server that keeps everything in memory; it ends with the block."""
    (port,) = free_ports(1)
    program = Path(sys.executable).with_name("moto_server")
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, str(program), "-H", "127.0.0.1", "-p", str(port)],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(endpoint, process, log)
        yield S3Server(endpoint)
    finally:
        process.terminate()
        process.wait(30)


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{endpoint}/moto-api/", timeout=2)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())
