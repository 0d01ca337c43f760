from __future__ import annotations

import socket

import pytest

from core.errors import PortTakenError, SetupError
from core.services.ports import (
    Holder,
    InternalPorts,
    choose_ports,
    holder_of,
    is_free,
    keep_ports,
    published_ports,
    read_ports,
    require_free,
)
from core.settings import Settings


def test_keeps_its_ports_while_they_are_free():
    kept = InternalPorts(21000)

    assert choose_ports(kept, seed=5, is_free=lambda port: True) == kept


def test_moves_away_from_ports_that_were_taken_meanwhile():
    kept = InternalPorts(21000)

    chosen = choose_ports(kept, seed=5, is_free=lambda port: port != kept.haproxy_stats)

    assert kept.haproxy_stats not in range(chosen.first, chosen.replica_grpc[1] + 1)


def test_two_installations_start_their_search_at_different_places():
    first, second = (choose_ports(None, seed, lambda port: True) for seed in (1, 2))

    assert first.replica_grpc[1] < second.first


def test_no_port_has_two_meanings():
    ports = InternalPorts(21000)
    names = [name for name, item in vars(InternalPorts).items() if isinstance(item, property)]
    values = [getattr(ports, name) for name in names]
    single = [value for value in values if isinstance(value, int)]
    (http_low, http_high), (grpc_low, _) = ports.replica_http, ports.replica_grpc

    assert len(set(single)) == len(single)
    assert max(single) < http_low < http_high < grpc_low


def test_gives_up_when_nothing_is_free():
    with pytest.raises(SetupError, match="ports in a row"):
        choose_ports(None, seed=0, is_free=lambda port: False)


def test_what_is_kept_can_be_read_again(tmp_path):
    keep_ports(tmp_path / "ports.json", InternalPorts(23000))

    assert read_ports(tmp_path / "ports.json") == InternalPorts(23000)


@pytest.mark.parametrize("content", [None, "", "[]", '{"first": "x"}'])
def test_a_file_that_cannot_be_read_counts_as_no_ports(tmp_path, content):
    file = tmp_path / "ports.json"
    if content is not None:
        file.write_text(content)

    assert read_ports(file) is None


def test_a_taken_port_is_named_with_its_holder_and_its_setting():
    with pytest.raises(PortTakenError) as caught:
        require_free(Settings(), lambda port, host: port != 5000, lambda port: Holder(12, "nginx"))

    assert "Port 5000" in caught.value.message
    assert "nginx (pid 12)" in caught.value.message
    assert "PILOTHOUSE_MLFLOW_PORT" in caught.value.fix


def test_one_port_for_two_services_is_refused():
    settings = Settings(mlflow_port=8000)

    with pytest.raises(SetupError, match="8000 is set for both serving and mlflow"):
        require_free(settings, lambda port, host: True, lambda port: None)


def test_every_published_port_names_a_setting_that_exists():
    for published in published_ports(Settings()):
        field = published.setting.removeprefix("PILOTHOUSE_").lower()

        assert getattr(Settings(), field) == published.port


def test_what_runs_elsewhere_takes_no_port_here():
    def services(**settings: object) -> list[str]:
        return [one.service for one in published_ports(Settings(**settings))]

    assert services() == ["panel", "serving", "mlflow", "ray"]
    assert services(ray_address="http://head:8265") == ["panel", "mlflow"]
    assert services(mlflow_address="http://tracking:5000") == ["panel", "serving", "ray"]


def test_mlflow_and_ray_are_bound_where_the_cluster_reaches_them():
    found = {one.service: one.host for one in published_ports(Settings(cluster_host="10.0.0.5"))}

    assert found == {
        "panel": "127.0.0.1",
        "serving": "127.0.0.1",
        "mlflow": "10.0.0.5",
        "ray": "10.0.0.5",
    }


def test_sees_who_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = holder_of(port)

        assert not is_free(port)
        assert holder is not None
        assert holder.pid > 0
    assert is_free(port)
