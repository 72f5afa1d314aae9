"""Makes keys, certificates and revocation lists. Pure but for the randomness of keys and serials.

Keys are of the curve P-256, which every TLS library takes. The role of a caller is the organizational unit of its
subject: O=Racklet, OU=operator, CN=ada.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from racklet_hostd.access import ORGANISATION
from racklet_hostd.role import Role

CA_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=30)
CALLER_LIFE_DAYS = 90
_CLOCK_SKEW = timedelta(minutes=5)  # a board without a battery for its clock may be behind

PrivateKey = ec.EllipticCurvePrivateKey


class Issued(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    def certificate_pem(self) -> bytes:
        """Return the certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the key, for a file that only its owner may read."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_ca(name: str, now: datetime) -> Issued:
    """Return a CA that signs certificates of callers and of hostd, and no CA below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    builder = _builder(subject, subject, key.public_key(), now, CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id)
    return Issued(builder.add_extension(authority, critical=False).sign(key, hashes.SHA256()), key)


def issue_server(ca: Issued, hosts: Iterable[str], now: datetime) -> Issued:
    """Return a certificate of hostd for those host names and IP addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _leaf(ca, _subject("racklet-hostd"), key, now, SERVER_LIFE)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
    )
    return _signed(ca, key, builder, ExtendedKeyUsageOID.SERVER_AUTH)


def issue_caller(ca: Issued, name: str, role: Role, now: datetime, life: timedelta) -> Issued:
    """Return a certificate of a caller with a role."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _leaf(ca, _subject(name, role), key, now, life)
    return _signed(ca, key, builder, ExtendedKeyUsageOID.CLIENT_AUTH)


def make_crl(ca: Issued, revoked: Mapping[int, datetime], now: datetime) -> bytes:
    """Return the list of the serials that are no longer good, in PEM. It is good for as long as the CA."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.certificate.subject).last_update(now)
    builder = builder.next_update(ca.certificate.not_valid_after_utc)
    for serial, when in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names and IP addresses of a certificate of hostd."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def _subject(name: str, role: Role | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION)]
    if role is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role.word))
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _leaf(ca: Issued, subject: x509.Name, key: PrivateKey, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    left = ca.certificate.not_valid_after_utc - now
    builder = _builder(subject, ca.certificate.subject, key.public_key(), now, min(life, left))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    return builder.add_extension(authority, critical=False)


def _signed(ca: Issued, key: PrivateKey, builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> Issued:
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Issued(builder.sign(ca.key, hashes.SHA256()), key)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
