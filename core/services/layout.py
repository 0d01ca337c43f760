"""Where the processes of one installation keep their files, and the mark they carry."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from core.errors import SetupError

#: Every process of an installation has this variable; its value names the installation.
TAG = "PILOTHOUSE_INSTALLATION"
#: A Unix socket's path may have 107 bytes; Ray and HAProxy append up to 85 to this.
_LONGEST_TEMP = 8
_FALLBACK_TEMP = "/tmp"  # noqa: S108 - what stands below belongs to us alone, see prepare()


@dataclass(frozen=True)
class Layout:
    """Folders and files of one installation.

    ``runtime`` holds sockets and Ray's session: nothing in it outlives the processes.
    """

    home: Path
    runtime: Path
    installation: str

    @property
    def run(self) -> Path:
        """Folder of pids, generated configuration and heartbeats."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Folder of one log per program."""
        return self.home / "logs"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def ports_file(self) -> Path:
        """File that keeps the ports chosen for this installation."""
        return self.home / "ports.json"

    @property
    def lock_file(self) -> Path:
        """File locked by the one command that may start or stop services."""
        return self.run / "lifecycle.lock"

    @property
    def fingerprint_file(self) -> Path:
        """File that says with what configuration the services were started."""
        return self.run / "fingerprint"

    @property
    def supervisor_config(self) -> Path:
        """Generated configuration of the process manager."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """File with the process manager's pid."""
        return self.run / "supervisord.pid"

    @property
    def supervisor_socket(self) -> Path:
        """Socket the process manager listens on."""
        return self.runtime / "supervisor.sock"

    @property
    def ray_temp(self) -> Path:
        """Folder of Ray's sessions."""
        return self.runtime / "r"

    @property
    def haproxy(self) -> Path:
        """Folder of the proxy in front of the served models."""
        return self.runtime / "h"

    @property
    def haproxy_launcher(self) -> Path:
        """Generated script that starts the proxy."""
        return self.run / "haproxy"

    @property
    def haproxy_certificate(self) -> Path:
        """Link to the certificate that the proxy shows; beside it, that to its key."""
        return self.haproxy / "tls.pem"

    @property
    def worker_heartbeat(self) -> Path:
        """File that the background worker touches while it is alive."""
        return self.run / "worker.heartbeat"

    def log_of(self, program: str) -> Path:
        """Log of one program."""
        return self.logs / f"{program}.log"

    def prepare(self) -> None:
        """Makes the folders; what is in the home is no business of the machine's other users.

        Raises:
            SetupError: the home cannot be written, or the runtime folder is another user's.
        """
        try:
            for folder in (self.run, self.logs, self.mlflow):
                folder.mkdir(parents=True, exist_ok=True)
            home = self.home.stat()
            if home.st_uid == os.geteuid() and home.st_mode & stat.S_IRWXO:
                self.home.chmod(stat.S_IMODE(home.st_mode) & ~stat.S_IRWXO)
            self.runtime.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.ray_temp, self.haproxy):
                folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise SetupError(
                f"The folder {exc.filename} cannot be written ({exc.strerror}).",
                fix="Set PILOTHOUSE_HOME to a folder that you may write.",
            ) from exc
        found = self.runtime.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise SetupError(
                f"The folder {self.runtime} belongs to another user.",
                fix="Remove it, or set PILOTHOUSE_HOME to another folder.",
            )


def layout_of(home: Path) -> Layout:
    """The layout of the installation that keeps its state under ``home``."""
    installation = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    temp = tempfile.gettempdir()
    short = temp if len(temp) <= _LONGEST_TEMP else _FALLBACK_TEMP
    return Layout(home, Path(short) / f"ph-{installation}", installation)
