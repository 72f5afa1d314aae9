"""The folder of a CA, and what can be wrong in it."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from racklet_hostd.access import AccessRules, CertificateNames
from racklet_hostd.checkup.certificates import check_certificates
from racklet_hostd.checkup.system import System
from racklet_hostd.config import AccessConfig, RackletConfig, TlsConfig
from racklet_hostd.pki.errors import PkiError, PkiFileError
from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.pki.making import hosts_of
from racklet_hostd.pki.reading import names_of, read_certificates, read_revoked
from racklet_hostd.role import Role
from racklet_hostd.server_tls import ServerTls, TlsFiles

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY_MS = 86_400_000
HOSTS = ("rack.lab", "127.0.0.1")


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def begun(tmp_path: Path, now: datetime = NOW) -> PkiFolder:
    pki = PkiFolder(tmp_path / "pki")
    pki.begin("Racklet CA of lab", HOSTS, now)
    return pki


def tls_of(pki: PkiFolder) -> ServerTls:
    files = TlsFiles.of_config(TlsConfig.model_validate({"folder": str(pki.path)}))
    assert files is not None
    return ServerTls(files, AccessRules(AccessConfig()))


def der_of(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_keys_are_for_their_owner_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    bundle = pki.issue("ada", Role.OPERATOR, NOW)
    files = {path.relative_to(pki.path).as_posix(): path.stat().st_mode & 0o777 for path in pki.path.rglob("*.*")}
    assert {name for name in files if not name.startswith("issued/")} == {
        "ca.crt",
        "ca.key",
        "crl.pem",
        "server.pem",
        "clients/ada/ca.crt",
        "clients/ada/client.crt",
        "clients/ada/client.key",
    }
    assert {name for name, mode in files.items() if mode == 0o600} == {"ca.key", "server.pem", "clients/ada/client.key"}
    assert {path.stat().st_mode & 0o777 for path in (pki.path, bundle, pki.path / "issued")} == {0o700}


def test_a_second_ca_is_not_made_over_the_first(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    before = pki.ca_key.read_bytes()
    with pytest.raises(PkiError, match=r"there is a CA in .* already"):
        pki.begin("another", HOSTS, NOW)
    assert pki.ca_key.read_bytes() == before


@pytest.mark.parametrize("name", ["", "../ada", "a/b", ".", "server", "a" * 64, "ada\n", "ädä", "-ada"])
def test_a_name_that_could_be_a_path_or_mistaken_is_refused(tmp_path: Path, name: str) -> None:
    pki = begun(tmp_path)
    with pytest.raises(PkiError, match="is no name"):
        pki.issue(name, Role.VIEWER, NOW)
    assert list((pki.path / "clients").iterdir()) == []


def test_what_is_issued_says_who_it_is_and_for_how_long(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    bundle = pki.issue("ada@lab", Role.OPERATOR, NOW, days=7)
    [certificate] = read_certificates(bundle / "client.crt")
    names = names_of(certificate)
    assert names == CertificateNames(
        "CN=ada@lab,OU=operator,O=Racklet", frozenset({"cn:ada@lab", "ou:operator", "o:Racklet"})
    )
    assert certificate.not_valid_after_utc == NOW + timedelta(days=7)
    [server] = read_certificates(pki.server)
    assert hosts_of(server) == ["rack.lab", "127.0.0.1"]
    certificate.verify_directly_issued_by(read_certificates(pki.ca_certificate)[0])


def test_nothing_outlives_its_ca(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    [ca] = read_certificates(pki.ca_certificate)
    bundle = pki.issue("ada", Role.VIEWER, NOW + timedelta(days=3649), days=90)
    assert read_certificates(bundle / "client.crt")[0].not_valid_after_utc == ca.not_valid_after_utc


def test_the_list_shows_what_was_issued_and_what_became_of_it(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    pki.issue("ada", Role.ADMIN, NOW)
    pki.issue("bob", Role.VIEWER, NOW)
    [gone] = pki.revoke("bob", NOW)
    shown = [(entry.name, entry.role, entry.is_revoked) for entry in pki.entries()]
    assert shown == [("server", None, False), ("ada", Role.ADMIN, False), ("bob", Role.VIEWER, True)]
    assert list(read_revoked(pki.crl, read_certificates(pki.ca_certificate))) == [gone]
    with pytest.raises(PkiError, match="bob has no certificate that is still good"):
        pki.revoke("bob", NOW)


def test_revoking_is_told_to_a_running_hostd_and_renewing_is_no_revoking(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    bundle = pki.issue("ada", Role.VIEWER, NOW)
    tls = tls_of(pki)
    holder = tls.holder(der_of(bundle / "client.crt"), tls.for_callers)
    assert (holder.subject, holder.role) == ("CN=ada,OU=viewer,O=Racklet", Role.VIEWER)
    pki.issue("ada", Role.VIEWER, NOW)
    tls.tend(ms(NOW))
    assert tls.objection(holder, ms(NOW)) == ""
    assert "has ended" in tls.objection(holder, ms(NOW) + 91 * DAY_MS)
    pki.revoke("ada", NOW)
    tls.tend(ms(NOW))
    assert "is revoked" in tls.objection(holder, ms(NOW))


def test_hostd_renews_its_own_certificate_when_a_third_is_left(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    tls = tls_of(pki)
    [before] = read_certificates(pki.server)
    tls.tend(ms(NOW) + 19 * DAY_MS)
    assert read_certificates(pki.server) == [before]
    tls.tend(ms(NOW) + 21 * DAY_MS)
    [after] = read_certificates(pki.server)
    assert after.not_valid_after_utc == NOW + timedelta(days=51)
    assert hosts_of(after) == hosts_of(before)
    assert pki.server.stat().st_mode & 0o777 == 0o600


def test_without_the_key_of_the_ca_it_says_so_before_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pki = begun(tmp_path)
    tls = tls_of(pki)
    pki.ca_key.rename(tmp_path / "offline.key")
    tls.tend(ms(NOW) + 22 * DAY_MS)
    assert caplog.records == []
    for _ in range(2):
        tls.tend(ms(NOW) + 24 * DAY_MS)
    [record] = caplog.records
    assert record.problem.endswith("server.pem ends on 2026-12-22 00:00 UTC, and hostd cannot renew it")


def test_what_does_not_hold_together_is_told_and_what_was_read_before_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pki = begun(tmp_path)
    bundle = pki.issue("ada", Role.VIEWER, NOW)
    tls = tls_of(pki)
    pki.revoke("ada", NOW)
    tls.tend(ms(NOW))
    pki.crl.write_text("rubbish")
    tls.tend(ms(NOW))
    assert "is revoked" in tls.objection(tls.holder(der_of(bundle / "client.crt"), tls.for_callers), ms(NOW))
    assert caplog.records[-1].problem.startswith(f"{pki.crl}: holds no revocation list in PEM")


def test_a_list_of_another_ca_revokes_nobody(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    other = PkiFolder(tmp_path / "other")
    other.begin("other", HOSTS, NOW)
    pki.crl.write_bytes(other.crl.read_bytes())
    with pytest.raises(PkiFileError, match=r"crl.pem: is signed by none of the CAs"):
        tls_of(pki)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("server.pem", b"", "server.pem: holds no certificate in PEM"),
        ("server.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "server.pem: holds no cert"),
        ("ca.crt", b"\xff\x00", "ca.crt: holds no certificate in PEM"),
        ("ca.crt", b"x" * (1 << 21), "ca.crt: is longer than 1048576 bytes"),
        ("crl.pem", b"rubbish", "crl.pem: holds no revocation list in PEM"),
        ("crl.pem", None, "crl.pem: cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_does_not_parse_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    pki = begun(tmp_path)
    if content is None:
        (pki.path / name).unlink()
    else:
        (pki.path / name).write_bytes(content)
    with pytest.raises(PkiError) as caught:
        tls_of(pki)
    assert str(caught.value).startswith(f"{pki.path}/{reason}")


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    bundle = pki.issue("ada", Role.VIEWER, NOW)
    pki.ca_key.unlink()
    parts = pki.server.read_text().partition("-----BEGIN CERTIFICATE-----")
    pki.server.write_text((bundle / "client.key").read_text() + "".join(parts[1:]))
    with pytest.raises(PkiFileError, match=r"is no key of .*server\.pem: key values mismatch"):
        tls_of(pki)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pki = begun(tmp_path)
    before = pki.crl.read_bytes()
    pki.issue("ada", Role.VIEWER, NOW)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PkiFileError, match=r"crl.pem: cannot be written: No space left on device"):
        pki.revoke("ada", NOW)
    assert pki.crl.read_bytes() == before
    assert [path.name for path in pki.path.iterdir() if path.name.startswith(".")] == []


def test_rules_of_the_config_replace_the_role_in_the_subject() -> None:
    names = CertificateNames(
        "CN=ci", frozenset({"cn:ci", "o:Racklet", "ou:admin", "uri:spiffe://lab/ci", "dns:ci.lab"})
    )
    rules = AccessRules(AccessConfig(viewer=("dns:ci.lab",), operator=("uri:spiffe://lab/ci",)))
    assert rules.of_certificate(names) is Role.OPERATOR
    assert AccessRules(AccessConfig(viewer=("cn:ada",))).of_certificate(names) is None
    assert AccessRules(AccessConfig(viewer=("user:0",))).of_certificate(names) is Role.ADMIN
    foreign = CertificateNames("CN=ci", frozenset({"cn:ci", "o:Elsewhere", "ou:admin"}))
    assert AccessRules(AccessConfig()).of_certificate(foreign) is None


def test_a_serial_is_never_used_twice(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    for _ in range(3):
        pki.issue("ada", Role.VIEWER, NOW)
    serials = [x509.load_pem_x509_certificate(path.read_bytes()).serial_number for path in pki.path.glob("issued/*")]
    assert len(set(serials)) == 4


def test_a_certificate_that_ended_while_hostd_was_away_is_renewed_when_it_starts(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    tls = tls_of(pki)
    tls.tend(ms(NOW) + 60 * DAY_MS)
    assert read_certificates(pki.server)[0].not_valid_after_utc == NOW + timedelta(days=90)


def checked(pki: PkiFolder, tmp_path: Path, now: datetime = NOW) -> list[tuple[str, str]]:
    """Return what `racklet doctor` says of certificates."""
    config = RackletConfig.model_validate({"tls": {"folder": str(pki.path)}})

    class Then(System):
        def unix_s(self) -> float:
            return now.timestamp()

    return [(finding.verdict.value, finding.what) for finding in check_certificates(config, Then(tmp_path))]


def test_the_doctor_says_how_long_the_certificate_is_good(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    assert checked(pki, tmp_path) == [("good", "hostd's is good until 2026-12-22 00:00 UTC")]
    assert checked(pki, tmp_path, NOW + timedelta(days=25))[0][0] == "warning"
    assert checked(pki, tmp_path, NOW + timedelta(days=31)) == [("problem", "hostd's ended on 2026-12-22 00:00 UTC")]
    assert list(check_certificates(RackletConfig(), System(tmp_path))) == []


def test_the_doctor_finds_a_key_that_others_can_read_and_a_file_that_does_not_parse(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    pki.ca_key.chmod(0o640)
    assert checked(pki, tmp_path)[0] == ("problem", f"{pki.ca_key} can be read by others (mode 0640)")
    pki.crl.write_text("rubbish")
    assert checked(pki, tmp_path)[1][1].startswith(f"{pki.crl}: holds no revocation list in PEM")


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 60_001, 60_002)
    pki = begun(tmp_path)
    pki.issue("ada", Role.VIEWER, NOW)
    pki.add_token()
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (pki.path, *pki.path.rglob("*"))}
    assert owners == {(60_001, 60_002)}


def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    pki = begun(tmp_path)
    (pki.path / "clients" / "ada").symlink_to(tmp_path)
    with pytest.raises(PkiError, match="ada cannot be made: File exists"):
        pki.issue("ada", Role.VIEWER, NOW)
    assert not (tmp_path / "client.key").exists()
