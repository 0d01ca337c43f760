from __future__ import annotations

import configparser
import os
import shlex
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from core.errors import SetupError
from core.services import haproxy, mlflow_server
from core.services.environment import Launch, declared_environment, service_environment
from core.services.java import JavaRuntime
from core.services.layout import TAG, layout_of
from core.services.ports import InternalPorts
from core.services.programs import default_programs, ray_node
from core.services.supervision import config_text, fingerprint
from core.settings import CODE_ROOT, Settings, vendor_privacy

PORTS = InternalPorts(21000)
HOME = Path("/a home/100%")
DOOR = haproxy.Door("0.0.0.0", 8000, Path("/tmp/ph-1/h/tls.pem"))


def launch(home: Path = HOME, **settings: object) -> Launch:
    java = JavaRuntime(Path("/java17"), 17, "system")
    return Launch(Settings(home=home, **settings), layout_of(home), PORTS, java)


def argv_of(name: str, **settings: object) -> tuple[str, ...]:
    return next(p.argv for p in default_programs(launch(**settings)) if p.name == name)


def after(argv: tuple[str, ...], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_the_process_manager_reads_back_what_was_meant():
    programs = default_programs(launch())
    parser = configparser.RawConfigParser()
    parser.read_string(config_text(launch(), programs))

    for program in programs:
        command = parser[f"program:{program.name}"]["command"].replace("%%", "%")
        assert tuple(shlex.split(command)) == program.argv


def test_mlflow_is_told_of_a_database_where_nobody_else_sees_it():
    own = argv_of("mlflow")
    assert after(own, "--backend-store-uri") == f"sqlite:///{HOME}/mlflow/mlflow.db"
    given = argv_of("mlflow", mlflow_database_url="postgresql://us:S3cret@host/runs")
    assert "core.services.mlflow_server" in given
    assert "S3cret" not in str(given)
    assert "--backend-store-uri" not in given
    # All else is as it was.
    assert given[given.index("--serve-artifacts") :] == own[own.index("--serve-artifacts") :]


STORE = {
    "store_url": "s3://bucket/folder",
    "s3_endpoint": "http://store:8333",
    "s3_access_key_id": "K3y",
    "s3_secret_access_key": "S3cret",
}


@pytest.mark.parametrize("database", [{}, {"mlflow_database_url": "postgresql://us@host/runs"}])
def test_mlflow_keeps_artifacts_in_the_store_and_hides_its_key(database):
    own, given = argv_of("mlflow", **database), argv_of("mlflow", **database, **STORE)
    assert after(own, "--artifacts-destination") == f"{HOME}/mlflow/artifacts"
    assert after(given, "--artifacts-destination") == "s3://bucket/folder/artifacts"
    # Clients go through it: nobody else needs the key.
    assert "--serve-artifacts" in given
    assert "core.services.mlflow_server" in given
    assert not any(secret in str(given) for secret in ("K3y", "S3cret"))
    assert ("--backend-store-uri" in given) is not bool(database)


def test_mlflow_is_told_the_key_in_its_environment_and_no_other(monkeypatch, tmp_path):
    for name, value in STORE.items():
        monkeypatch.setenv(f"PILOTHOUSE_{name.upper()}", value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setattr("sys.argv", ["x", "--backend-store-uri", f"sqlite:///{tmp_path}/m.db"])
    became: list[tuple[tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda *given: became.append(given[1:]))
    mlflow_server.main()
    ((argv, environment),) = became
    assert argv[2:] == ("server", "--backend-store-uri", f"sqlite:///{tmp_path}/m.db")
    assert environment["MLFLOW_S3_ENDPOINT_URL"] == "http://store:8333"
    assert environment["AWS_ACCESS_KEY_ID"] == "K3y"
    assert environment["AWS_SECRET_ACCESS_KEY"] == "S3cret"
    assert "AWS_SESSION_TOKEN" not in environment
    assert "MLFLOW_BACKEND_STORE_URI" not in environment


def test_a_store_that_is_named_in_the_shell_takes_no_artifacts():
    # Amazon's has no endpoint that would take its place.
    inherited = {"MLFLOW_S3_ENDPOINT_URL": "http://another:9000", "PATH": "/bin"}
    environment = service_environment(launch(store_url="s3://bucket"), inherited)
    assert "MLFLOW_S3_ENDPOINT_URL" not in environment


def test_mlflow_does_not_start_on_a_store_that_nobody_chose(monkeypatch, tmp_path):
    file = tmp_path / "address"
    monkeypatch.setenv("PILOTHOUSE_MLFLOW_DATABASE_URL_FILE", str(file))
    became: list[dict[str, str]] = []
    monkeypatch.setattr("os.execve", lambda *given: became.append(given[2]))
    file.write_text("")
    with pytest.raises(SetupError, match="no database"):
        mlflow_server.main()
    assert became == []
    file.write_text("postgres://us:pw@host/runs\n")
    mlflow_server.main()
    assert became[0]["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://us:pw@host/runs"


def test_only_the_panel_binds_another_address_than_the_loopback():
    assert after(argv_of("panel", host="10.0.0.5"), "--server.address") == "10.0.0.5"
    for name in ("mlflow", "ray"):
        assert argv_of(name, host="10.0.0.5") == argv_of(name)
        assert "127.0.0.1" in argv_of(name)


def test_the_panel_takes_files_as_large_as_the_core_does(tmp_path):
    params = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["intake"]["max_file_mb"] = 7
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")

    assert after(argv_of("panel", params_file=file), "--server.maxUploadSize") == "7"
    # A second place would be a second truth.
    assert "maxUploadSize" not in (CODE_ROOT / ".streamlit" / "config.toml").read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "0.0.0.0"])
def test_ray_declares_the_cpus_it_is_told_and_keeps_its_node_on_loopback(host):
    assert after(argv_of("ray", ray_cpus=6), "--num-cpus") == "6"
    environment = declared_environment(launch(host=host))
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"


def test_a_cluster_of_several_machines_binds_its_address():
    among = {"cluster_host": "10.0.0.5"}
    assert after(argv_of("ray", **among), "--node-ip-address") == "10.0.0.5"
    assert after(argv_of("ray", **among), "--dashboard-host") == "10.0.0.5"
    assert after(argv_of("mlflow", **among), "--host") == "10.0.0.5"
    environment = declared_environment(launch(**among))
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "1"
    assert environment["SPARK_LOCAL_IP"] == "10.0.0.5"
    assert "--node-ip-address" not in argv_of("ray")


def test_what_is_there_already_is_not_started():
    def names(**settings: object) -> list[str]:
        return [program.name for program in default_programs(launch(**settings))]

    assert names() == ["ray", "mlflow", "worker", "panel"]
    assert names(ray_address="http://head:8265") == ["mlflow", "worker", "panel"]
    assert names(mlflow_address="http://tracking:5000") == ["ray", "worker", "panel"]


def test_a_node_joins_the_head_and_takes_no_port_that_somebody_may_have_chosen():
    argv = ray_node(launch(ray_cpus=3), "10.0.0.5:21000", "10.0.0.6")
    assert after(argv, "--address") == "10.0.0.5:21000"
    assert after(argv, "--node-ip-address") == "10.0.0.6"
    assert after(argv, "--num-cpus") == "3"
    ports = [after(argv, flag) for flag in argv if flag.endswith("-port")]
    assert ports
    assert set(ports) == {"0"}
    joined = replace(launch(), address="127.0.0.1")
    assert declared_environment(joined)["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "1"


def test_spark_on_another_node_has_the_address_of_that_node():
    joined = replace(launch(cluster_host="10.0.0.5"), address="10.0.0.6")
    assert declared_environment(joined)["SPARK_LOCAL_IP"] == "10.0.0.6"


def test_no_range_of_ports_that_somebody_may_have_published_is_taken_for_workers():
    arguments = argv_of("ray", ray_dashboard_port=18265)
    assert after(arguments, "--dashboard-port") == "18265"
    assert [after(arguments, f"--{end}-worker-port") for end in ("min", "max")] == ["0", "0"]


def test_ray_asks_for_the_token_of_this_installation_unless_told_otherwise():
    asking = declared_environment(launch())
    assert asking["RAY_AUTH_MODE"] == "token"
    assert asking["RAY_AUTH_TOKEN_PATH"] == str(HOME / "secrets" / "ray.token")

    silent = declared_environment(launch(ray_token=False))
    assert silent["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN_PATH" not in silent


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"localhost", "127.0.0.1", "::1"}),
        ({"host": "10.0.0.5"}, {"localhost", "127.0.0.1", "::1", "10.0.0.5"}),
        ({"host": "0.0.0.0"}, {"*"}),
        (
            {"host": "0.0.0.0", "panel_public_url": "https://panel.example.org:444/x"},
            {"localhost", "127.0.0.1", "::1", "panel.example.org"},
        ),
    ],
)
def test_the_panel_answers_to_the_names_under_which_it_is_published(settings, names):
    argv = argv_of("panel", **settings)
    given = {
        after(argv[at:], "--server.allowedHosts")
        for at, flag in enumerate(argv)
        if flag == "--server.allowedHosts"
    }

    assert given == names


def test_the_panel_gets_the_certificate_only_where_there_is_one():
    argv = argv_of("panel", tls_cert_file="/c.pem", tls_key_file="/k.pem")

    assert after(argv, "--server.sslCertFile") == "/c.pem"
    assert after(argv, "--server.sslKeyFile") == "/k.pem"
    assert "--server.sslCertFile" not in argv_of("panel")


def test_no_telemetry_unless_the_user_turns_it_on():
    quiet = declared_environment(launch())

    assert vendor_privacy().items() <= quiet.items()
    assert "--disable-usage-stats" in argv_of("ray")
    assert not vendor_privacy().keys() & declared_environment(launch(telemetry=True)).keys()
    assert "--disable-usage-stats" not in argv_of("ray", telemetry=True)


def test_services_see_every_setting_as_it_is_here():
    given = launch(ray_cpus=3, telemetry=True)
    environment = service_environment(given, {"PILOTHOUSE_RAY_CPUS": "8"})
    told = [name for name, field in Settings.model_fields.items() if not field.exclude]
    seen = {name: environment[f"PILOTHOUSE_{name.upper()}"] for name in told}

    assert Settings(**seen) == given.settings


def test_leftovers_of_other_work_do_not_reach_the_services():
    inherited = {"RAY_ADDRESS": "elsewhere", "SPARK_HOME": "/spark", "LANG": "C", "PATH": "/bin"}
    environment = service_environment(launch(), inherited)

    assert environment["LANG"] == "C"
    assert not {"RAY_ADDRESS", "SPARK_HOME"} & environment.keys()
    assert environment["PATH"].startswith("/java17/bin:")
    assert environment["PATH"].endswith(":/bin")
    assert environment["PYTHONPATH"] == str(CODE_ROOT)


def test_two_homes_share_no_tag_no_folder_and_no_proxy():
    first, second = (declared_environment(launch(Path(home))) for home in ("/one", "/two"))

    assert first[TAG] != second[TAG]
    for name in first:
        if "HAPROXY" in name and "/" in first[name]:
            assert first[name] != second[name]


def test_socket_paths_stay_short_whatever_the_home():
    layout = layout_of(Path("/home") / ("x" * 300))

    assert len(str(layout.runtime)) <= 22


def test_changed_settings_change_the_fingerprint():
    def mark(given: Launch) -> str:
        return fingerprint(given, config_text(given, default_programs(given)))

    assert mark(launch()) == mark(launch())
    assert mark(launch()) != mark(launch(ray_cpus=4))
    assert mark(launch()) != mark(launch(operator="Ada"))


def test_a_runtime_folder_of_another_kind_is_refused(tmp_path):
    layout = layout_of(tmp_path / "home")
    layout.runtime.symlink_to(tmp_path)
    try:
        with pytest.raises(SetupError, match="belongs to another user"):
            layout.prepare()
    finally:
        layout.runtime.unlink()


def test_a_home_that_is_a_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "home").touch()

    with pytest.raises(SetupError, match="cannot be written") as caught:
        layout_of(tmp_path / "home").prepare()

    assert "PILOTHOUSE_HOME" in caught.value.fix


def test_the_proxys_side_doors_move_to_loopback_and_labels_are_sent_once(tmp_path, monkeypatch):
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "global\n    log 127.0.0.1:514 local0 info\n"
        "frontend p\n    bind :9101\nlisten stats\n  bind *:8404\n"
        "frontend http_frontend\n    bind 127.0.0.1:8000\n    log global\n"
    )
    binary = tmp_path / "binary"
    binary.write_text('#!/bin/sh\necho "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setattr(haproxy, "_find_binary", lambda: binary)
    launcher = tmp_path / "launcher"
    haproxy.write_launcher(launcher, DOOR, 9101, 8404, pages=tmp_path)

    done = subprocess.run(
        [launcher, "-db", "-f", config, "-sf", "7"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )

    assert done.stdout.split() == ["-db", "-f", str(config), "-sf", "7"]
    binds = [line.strip() for line in config.read_text().splitlines() if "bind" in line]
    assert "514" not in config.read_text()
    assert binds == ["bind 127.0.0.1:9101", "bind 127.0.0.1:8404", f"bind {DOOR.bind}"]
    predicts = "{ path_beg /predict/ /invocations /v2/models/ }"
    rules = [
        "http-request wait-for-body time 30s if METH_POST",
        f"http-request disable-l7-retry if !METH_GET !{predicts}",
        f"http-request set-header x-request-disconnect-disabled ?1 if {predicts}",
        "http-request set-header x-request-id %[uuid()] unless "
        "{ req.hdr(x-request-id) -m reg ^[!-~]{1,128}$ }",
    ]
    lines = [line.strip() for line in config.read_text().splitlines()]
    assert lines[-5:] == [*rules, "log global"]
    start = lines.index("frontend http_frontend")
    assert lines[start + 1 : start + 3] == [f"bind {DOOR.bind}", "timeout client 60s"]
    assert stat.S_IMODE(launcher.stat().st_mode) == 0o700


def test_without_haproxy_ray_is_told_nothing_of_it():
    with_haproxy = declared_environment(launch())
    assert with_haproxy["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    told = declared_environment(launch(serving_proxy="python"))
    assert [name for name in told if "HA_PROXY" in name or "HAPROXY" in name] == []
    period = "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S"
    assert told[period] == with_haproxy[period]
