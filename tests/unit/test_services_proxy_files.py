"""What a pod of Ray's head does before Ray starts HAProxy there."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.services.environment import Launch, declared_environment
from core.services.haproxy import kept_beside
from core.services.java import JavaRuntime
from core.services.layout import Layout, layout_of
from core.services.proxy_files import POD_PORTS, main
from core.settings import load_settings


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PILOTHOUSE_HOST", "0.0.0.0")
    monkeypatch.setattr("core.services.layout.tempfile.gettempdir", lambda: str(tmp_path))
    # A short one, as in a pod; what is made there goes with the test.
    monkeypatch.setattr("core.services.layout._FALLBACK_TEMP", str(tmp_path))
    return layout_of(load_settings().home)


def test_ray_finds_everything_where_its_environment_says(layout: Layout) -> None:
    assert main() == 0

    java = JavaRuntime(Path("/java"), 17, "wheel")
    told = declared_environment(Launch(load_settings(), layout, POD_PORTS, java))
    launcher = Path(told["RAY_SERVE_HAPROXY_BINARY_PATH"])
    script = launcher.read_text(encoding="utf-8")
    assert launcher.stat().st_mode & 0o100
    assert "0.0.0.0:8000" in script
    assert told["RAY_SERVE_HAPROXY_METRICS_PORT"] in script
    assert Path(told["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent.is_dir()
    assert (kept_beside(launcher) / "503.http").is_file()
    assert f"{layout.haproxy}/503.http" in script.replace("\\2", "503")


def test_it_may_be_done_again(layout: Layout) -> None:
    assert main() == 0
    before = layout.haproxy_launcher.read_bytes()
    assert main() == 0
    assert layout.haproxy_launcher.read_bytes() == before


def test_nothing_is_written_where_rays_own_proxy_is_wanted(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_SERVING_PROXY", "python")

    assert main() == 0
    assert not layout.haproxy_launcher.exists()


def test_what_is_in_the_way_is_said(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTHOUSE_TLS_CERT_FILE", "/nowhere.pem")
    monkeypatch.setenv("PILOTHOUSE_TLS_KEY_FILE", "/nowhere.key")

    assert main() == 1
    assert "/nowhere" in capsys.readouterr().err
