"""The commands that make certificates, and the certificate that a command shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from racklet_client.address import Address
from racklet_client.credentials import Credentials
from racklet_client.errors import CredentialsError
from racklet_hostd.config_loading import load_config
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's config folder, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("RACKLET_CREDENTIALS", "RACKLET_PKI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config" / "racklet"


def test_one_command_makes_all_and_says_what_to_put_into_the_config(
    run: Run, config_home: Path, tmp_path: Path
) -> None:
    said = run("pki", "init", "--host", "rack.lab").stdout
    assert sorted(path.name for path in (config_home / "client").iterdir()) == ["ca.crt", "client.crt", "client.key"]
    snippet = "".join(line[4:] + "\n" for line in said.splitlines() if line.startswith("    "))
    (tmp_path / "racklet.toml").write_text(snippet)
    config = load_config(tmp_path / "racklet.toml")
    assert (str(config.grpc.tcp), config.tls.folder) == ("0.0.0.0:50551", config_home / "pki")
    assert "PRIVATE KEY" not in said
    assert "there is a CA" in run("pki", "init", code=1).stderr


def test_the_admin_that_one_was_is_not_overwritten(run: Run, config_home: Path, tmp_path: Path) -> None:
    (config_home / "client").mkdir(parents=True)
    said = run("pki", "init", "--folder", str(tmp_path / "other")).stdout
    assert list((config_home / "client").iterdir()) == []
    assert f"The certificate of the first admin is in {tmp_path / 'other' / 'clients' / 'admin'}" in said


def test_a_certificate_is_issued_renewed_revoked_and_listed(run: Run, config_home: Path) -> None:
    run("pki", "init")
    said = run("pki", "issue", "ada", "--role", "operator", "--days", "7").stdout
    assert f"{config_home / 'pki' / 'clients' / 'ada'}" in said
    assert "racklet pki renew ada" in run("pki", "issue", "ada", "--role", "admin", code=1).stderr
    run("pki", "renew", "ada")
    run("pki", "renew", "server")
    assert len(run("pki", "revoke", "ada").stdout.splitlines()) == 2
    assert "no certificate that is still good" in run("pki", "revoke", "ada", code=1).stderr
    lines = [json.loads(line) for line in run("pki", "list", "--json").stdout.splitlines()]
    assert [(line["name"], line["role"], line["state"]) for line in lines] == [
        ("server", "", "good"),
        ("server", "", "good"),
        ("ada", "operator", "revoked"),
        ("ada", "operator", "revoked"),
        ("admin", "admin", "good"),
    ]
    assert "ada" in run("pki", "list").stdout


def test_what_is_not_there_or_wrong_is_said(run: Run) -> None:
    assert "there is no CA in" in run("pki", "list", code=1).stderr
    assert "there is no CA in" in run("pki", "issue", "ada", "--role", "viewer", code=1).stderr
    assert "is no role" in run("pki", "issue", "ada", "--role", "root", code=2).stderr
    run("pki", "init")
    assert "no certificate was issued to bob" in run("pki", "renew", "bob", code=4).stderr
    assert "is no name" in run("pki", "issue", "../ada", "--role", "viewer", code=1).stderr


def test_a_token_is_shown_once_and_only_its_hash_is_kept(run: Run, config_home: Path) -> None:
    run("pki", "init")
    tokens = [run("pki", "token").stdout.strip() for _ in range(2)]
    kept = config_home / "pki" / "tokens"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(kept.read_text().split()) == 2
    assert not any(token in kept.read_text() for token in tokens)


def test_which_credentials_are_shown_where(run: Run, config_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match="there is no certificate here"):
        Credentials.for_address(Address("rack.lab:50551"))
    run("pki", "init")
    own = Credentials.of_folder(config_home / "client")
    assert Credentials.for_address(Address("rack.lab:50551")) == own
    for address in ("127.0.0.1:50551", "[::1]:1", "localhost:50551", "unix:/run/x"):
        assert Credentials.for_address(Address(address)) is None
    monkeypatch.setenv("RACKLET_CREDENTIALS", "/elsewhere")
    assert Credentials.for_address(Address("localhost:50551")) == Credentials.of_folder(Path("/elsewhere"))
    assert Credentials.for_address(Address("unix:/run/x")) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ca.crt", "ca.crt: holds no certificate in PEM"),
        ("client.crt", "client.crt: is no use with"),
        ("client.key", "client.crt: is no use with"),
    ],
)
def test_a_file_that_does_not_parse_is_named(run: Run, config_home: Path, name: str, reason: str) -> None:
    run("pki", "init")
    path = config_home / "client" / name
    path.write_text("rubbish")
    said = run("--credentials", str(path.parent), "--address", "localhost:1", "info", code=1).stderr
    assert reason in said
    path.unlink()
    said = run("--credentials", str(path.parent), "--address", "localhost:1", "info", code=1).stderr
    assert f"{name}: No such file" in said
