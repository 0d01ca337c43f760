"""From the claims of a login to a name and a role."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.access.claims import ClaimRules, Known, Unknown, parse_roles, read_claims
from core.access.login import login_of, rules_of
from core.access.roles import Role
from core.access.secret_file import load_secret
from core.cli_services import start
from core.errors import SetupError
from core.settings import Settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BEGUN = NOW - timedelta(hours=1)
MAPPED = ClaimRules(roles={"ml-ops": Role.OPERATOR, "ml-leads": Role.APPROVER})
NAMED = ClaimRules()
DEFAULT = ClaimRules(roles={"ml-ops": Role.OPERATOR}, default_role=Role.VIEWER)
NESTED = ClaimRules(role_claim="realm_access.roles")
ADDRESS = ClaimRules(role_claim="https://example.com/roles")


def claims(**more: object) -> dict[str, object]:
    return {"email": "anna@example.com", "iat": BEGUN.timestamp(), **more}


@pytest.mark.parametrize(
    ("rules", "given", "role"),
    [
        (MAPPED, {"roles": ["ml-ops"]}, Role.OPERATOR),
        (MAPPED, {"roles": ["ml-leads", "ml-ops", "sales"]}, Role.APPROVER),
        (MAPPED, {"roles": "ml-ops"}, Role.OPERATOR),
        (NAMED, {"roles": ["viewer", "admin", "operator"]}, Role.ADMIN),
        (DEFAULT, {"roles": ["sales"]}, Role.VIEWER),
        (DEFAULT, {}, Role.VIEWER),
        (DEFAULT, {"roles": ["ml-ops"]}, Role.OPERATOR),
        (NESTED, {"realm_access": {"roles": ["approver"]}}, Role.APPROVER),
        (ADDRESS, {"https://example.com/roles": ["operator"]}, Role.OPERATOR),
    ],
)
def test_the_highest_role_that_the_claim_gives(
    rules: ClaimRules, given: dict[str, object], role: Role
) -> None:
    assert read_claims(claims(**given), rules, NOW) == Known("anna@example.com", role, BEGUN)


@pytest.mark.parametrize(
    ("rules", "given", "why"),
    [
        # With a mapping the names of our roles are values as any other.
        (MAPPED, {"roles": ["admin"]}, "the claim 'roles' says 'admin'"),
        (MAPPED, {}, "the login has no claim 'roles'"),
        (MAPPED, {"roles": []}, "the login has no claim 'roles'"),
        (MAPPED, {"roles": {"ml-ops": True}}, "the login has no claim 'roles'"),
        (MAPPED, {"roles": [["ml-ops"], 7]}, "the login has no claim 'roles'"),
        (NAMED, {"roles": ["Admin"]}, "the claim 'roles' says 'Admin'"),
        (NAMED, {"roles": list("abcdefg")}, "says 'a', 'b', 'c', 'd', 'e', others"),
        (NESTED, {"realm_access": "approver"}, "no claim 'realm_access.roles'"),
    ],
)
def test_who_has_no_role_is_told_which_claim_was_looked_at(
    rules: ClaimRules, given: dict[str, object], why: str
) -> None:
    said = read_claims(claims(**given), rules, NOW)
    assert isinstance(said, Unknown)
    assert why in said.why
    assert said.why.startswith("anna@example.com has no role here")
    assert not said.is_old


def test_a_name_is_the_same_in_any_case() -> None:
    said = read_claims(claims(email=" Anna@Example.com ", roles=["viewer"]), NAMED, NOW)
    assert said == Known("anna@example.com", Role.VIEWER, BEGUN)


def test_the_fix_names_what_to_ask_for() -> None:
    said = read_claims(claims(), MAPPED, NOW)
    assert isinstance(said, Unknown)
    assert said.fix == "Ask whoever runs the provider of logins for 'ml-ops' or 'ml-leads'."


@pytest.mark.parametrize("verified", [False, "false", None, 0])
def test_an_address_that_is_not_verified_is_nobodys(verified: object) -> None:
    said = read_claims(claims(roles=["admin"], email_verified=verified), NAMED, NOW)
    assert isinstance(said, Unknown)
    assert "has not verified" in said.why


@pytest.mark.parametrize("verified", [True, "true"])
def test_an_address_that_is_verified_counts(verified: object) -> None:
    said = read_claims(claims(roles=["admin"], email_verified=verified), NAMED, NOW)
    assert isinstance(said, Known)


def test_whether_the_address_is_verified_says_nothing_of_another_name() -> None:
    rules = ClaimRules(name_claim="preferred_username")
    given = claims(preferred_username="anna", email_verified=False, roles=["viewer"])
    assert read_claims(given, rules, NOW) == Known("anna", Role.VIEWER, BEGUN)


@pytest.mark.parametrize("name", [None, "", "  ", 7, ["anna"]])
def test_a_login_without_a_name_is_nobodys(name: object) -> None:
    said = read_claims({**claims(roles=["admin"]), "email": name}, NAMED, NOW)
    assert isinstance(said, Unknown)
    assert "no claim 'email'" in said.why


@pytest.mark.parametrize("age_h", [12, 12.01, 1000])
def test_a_login_ends_after_the_hours_of_a_session(age_h: float) -> None:
    begun = (NOW - timedelta(hours=age_h)).timestamp()
    said = read_claims(claims(roles=["admin"], iat=begun), NAMED, NOW)
    assert isinstance(said, Unknown)
    assert said.is_old
    assert "after 12 hours" in said.why


@pytest.mark.parametrize(
    "iat", [None, "yesterday", True, float("nan"), 1e300, (NOW + timedelta(hours=1)).timestamp()]
)
def test_a_login_of_no_known_time_does_not_count(iat: object) -> None:
    said = read_claims(claims(roles=["admin"], iat=iat), NAMED, NOW)
    assert isinstance(said, Unknown)
    assert not said.is_old


def test_a_clock_that_is_a_minute_ahead_does_no_harm() -> None:
    ahead = (NOW + timedelta(minutes=1)).timestamp()
    assert isinstance(read_claims(claims(roles=["admin"], iat=ahead), NAMED, NOW), Known)


def test_roles_are_read_as_pairs() -> None:
    assert parse_roles("") == {}
    assert parse_roles(" ml-ops = operator, a=b=approver ,") == {
        "ml-ops": Role.OPERATOR,
        "a=b": Role.APPROVER,
    }


@pytest.mark.parametrize("text", ["ml-ops", "=operator", "ml-ops=king", "ml-ops="])
def test_roles_that_are_not_pairs_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write pairs such as"):
        parse_roles(text)


FULL = {
    "oidc_metadata_url": "https://login.example.com/.well-known/openid-configuration",
    "oidc_client_id": "pilothouse",
    "oidc_client_secret": "s3cret-of-the-client",
}


def test_without_a_provider_there_is_no_login() -> None:
    assert login_of(Settings()) is None
    assert not Settings().has_login


def test_the_settings_become_a_login() -> None:
    settings = Settings(
        **FULL,
        panel_public_url="https://panel.example.com/",
        oidc_roles="ml-ops=operator",
        oidc_default_role="viewer",
        session_hours=2,
    )
    login = login_of(settings)
    assert settings.has_login
    assert login is not None
    assert login.redirect_url == "https://panel.example.com/oauth2callback"
    assert login.rules == ClaimRules(
        roles={"ml-ops": Role.OPERATOR},
        default_role=Role.VIEWER,
        longest=timedelta(hours=2),
    )
    assert "s3cret-of-the-client" not in repr(login)


def test_the_secret_of_the_client_may_be_in_a_file(tmp_path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n", encoding="utf-8")
    login = login_of(Settings(**FULL | {"oidc_client_secret_file": str(file)}))
    assert login is not None
    assert login.client_secret == "from the file"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"oidc_client_id": ""}, "lacks PILOTHOUSE_OIDC_CLIENT_ID"),
        ({"oidc_client_secret": ""}, "lacks PILOTHOUSE_OIDC_CLIENT_SECRET or its file"),
        ({"oidc_client_secret_file": "/no/such"}, "PILOTHOUSE_OIDC_CLIENT_SECRET_FILE"),
        ({"oidc_roles": "ml-ops=king"}, "PILOTHOUSE_OIDC_ROLES is not usable"),
    ],
)
def test_a_login_that_is_half_configured_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(SetupError, match=why) as caught:
        login_of(Settings(**FULL | change))
    assert "s3cret" not in str(caught.value)


def test_nothing_is_started_while_a_login_lacks_something() -> None:
    with pytest.raises(SetupError, match="lacks PILOTHOUSE_OIDC_CLIENT_ID"):
        start(Settings(oidc_metadata_url=FULL["oidc_metadata_url"]), None)


def test_rules_need_no_provider() -> None:
    assert rules_of(Settings()).name_claim == "email"


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path) -> None:
    file = tmp_path / "secrets" / "panel.key"
    key = load_secret(file)
    assert len(key) == 32
    assert load_secret(file) == key
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_that_is_too_short_is_refused(tmp_path) -> None:
    file = tmp_path / "panel.key"
    file.write_bytes(b"short")
    with pytest.raises(SetupError, match="5 bytes"):
        load_secret(file)
