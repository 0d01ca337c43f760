from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.access.exposure import (
    Exposure,
    openings,
    require_safe,
    unencrypted,
    without_login,
)
from core.access.reach import exposure_of
from core.errors import SetupError
from core.hosts import is_exposed
from core.settings import Settings
from tests.unit.core_fakes import make_world

OPEN = Exposure("0.0.0.0", keys_required=False)
SAFE = Exposure("0.0.0.0", has_accounts=True, has_admin=True)


@pytest.mark.parametrize(
    ("host", "urls", "exposed"),
    [
        ("127.0.0.1", (), False),
        ("localhost", (), False),
        ("::1", (), False),
        ("127.0.0.2", ("", ""), False),
        ("127.0.0.1", ("http://localhost:9000", ""), False),
        ("127.0.0.1", ("https://panel.example.org", ""), True),
        ("127.0.0.1", ("", "https://[2001:db8::1]/models"), True),
        ("0.0.0.0", (), True),
        ("10.0.0.5", (), True),
        ("host.example.org", (), True),
        ("localhost.example.org", (), True),
        ("127.example.org", (), True),
    ],
)
def test_only_the_loopback_without_a_public_address_is_not_exposed(host, urls, exposed):
    assert is_exposed(host, urls) is exposed


@pytest.mark.parametrize(
    ("exposure", "words"),
    [
        (Exposure("127.0.0.1", keys_required=False), ()),
        (SAFE, ()),
        (Exposure("0.0.0.0", has_login=True), ()),
        (Exposure("0.0.0.0"), ("sign in",)),
        (Exposure("0.0.0.0", has_accounts=True), ("admin",)),
        (replace(SAFE, keys_required=False), ("key",)),
        (Exposure("0.0.0.0", has_login=True, keys_required=False), ("key",)),
        (OPEN, ("sign in", "key")),
        (
            Exposure("127.0.0.1", ("https://p.example.org",), keys_required=False),
            ("sign in", "key"),
        ),
    ],
)
def test_every_opening_is_named_and_nothing_else(exposure, words):
    found = openings(exposure)

    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence


def test_an_open_door_is_refused_with_its_fixes():
    with pytest.raises(SetupError) as caught:
        require_safe(OPEN)

    assert "PILOTHOUSE_HOST=0.0.0.0" in caught.value.message
    assert "sign in" in caught.value.message
    assert "served models" in caught.value.message
    for step in ("users add", "PILOTHOUSE_REQUIRE_KEYS", "PILOTHOUSE_ALLOW_OPEN"):
        assert step in caught.value.fix


def test_a_proxy_in_front_counts_as_a_door():
    with pytest.raises(SetupError, match=r"published at https://p\.example\.org"):
        require_safe(Exposure("127.0.0.1", ("https://p.example.org",)))


def test_what_is_shut_or_accepted_starts():
    require_safe(SAFE)
    require_safe(replace(OPEN, allow_open=True))


@pytest.mark.parametrize(
    ("exposure", "said"),
    [
        (Exposure("127.0.0.1"), False),
        (SAFE, True),
        (replace(SAFE, has_tls=True), False),
        (replace(SAFE, public_urls=("https://p.example.org",)), True),
        (Exposure("127.0.0.1", ("https://p.example.org", "")), False),
        (Exposure("127.0.0.1", ("https://p.example.org", "http://m.example.org")), True),
    ],
)
def test_says_when_tokens_travel_in_the_clear(exposure, said):
    assert bool(unencrypted(exposure)) is said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "10.0.0.5", "require_keys": "no"}, True),
        ({"host": "10.0.0.5", "require_keys": "auto"}, False),
        ({"host": "10.0.0.5", "require_keys": "yes"}, False),
    ],
)
def test_whether_callers_need_a_key_is_read_from_the_settings(
    tmp_path: Path, settings: dict[str, Any], said: bool
) -> None:
    world = make_world(tmp_path)
    found = exposure_of(Settings(home=tmp_path, **settings), world.pilothouse.accounts)
    assert any("key" in one for one in openings(found)) == said
    world.close()


class TestCluster:
    def test_ray_without_a_token_is_refused_where_other_machines_reach_it(self):
        among = Exposure("127.0.0.1", cluster_host="10.0.0.5", has_ray_token=False)

        with pytest.raises(
            SetupError, match=r"PILOTHOUSE_CLUSTER_HOST=10\.0\.0\.5.*no token"
        ) as no:
            require_safe(among)
        assert "PILOTHOUSE_RAY_TOKEN" in no.value.fix
        assert "users add" not in no.value.fix

    def test_with_a_token_it_starts_and_says_what_has_no_login(self):
        among = Exposure("127.0.0.1", cluster_host="10.0.0.5")
        require_safe(among)

        assert "MLflow" in without_login(among)
        assert "10.0.0.5" in without_login(among)

    def test_on_one_machine_nothing_is_said(self):
        require_safe(Exposure("127.0.0.1", has_ray_token=False))

        assert without_login(Exposure("0.0.0.0", has_ray_token=False)) == ""

    def test_it_is_read_from_the_settings(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        settings = Settings(home=tmp_path, cluster_host="10.0.0.5", ray_token=False)
        found = exposure_of(settings, world.pilothouse.accounts)
        assert openings(found) == ("Ray asks for no token, and runs what it is sent.",)
        world.close()
