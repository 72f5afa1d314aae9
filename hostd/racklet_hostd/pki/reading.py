"""Reads certificates and revocation lists, whoever made them. What is wrong is said with the file."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from racklet_hostd.access import CertificateNames
from racklet_hostd.pki.errors import PkiFileError
from racklet_hostd.pki.making import Issued

_FILE_LIMIT = 1 << 20  # bytes; a list of revoked certificates with ten thousand of them is half as long
_TEXT_LIMIT = 300  # characters of a name
_ATTRIBUTES: Final = {
    "cn": NameOID.COMMON_NAME,
    "o": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


def file_bytes(path: Path) -> bytes:
    """Return what is in a file of certificates or keys. Raises PkiFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise PkiFileError(path, f"cannot be read: {error.strerror}") from error
    if len(content) > _FILE_LIMIT:
        raise PkiFileError(path, f"is longer than {_FILE_LIMIT} bytes")
    return content


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, at least one. Raises PkiFileError."""
    try:
        return x509.load_pem_x509_certificates(file_bytes(path))
    except ValueError as error:
        raise PkiFileError(path, f"holds no certificate in PEM: {_first_words(error)}") from error


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a key of a CA that `racklet pki` made. Raises PkiFileError."""
    try:
        key = serialization.load_pem_private_key(file_bytes(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PkiFileError(path, f"holds no private key in PEM: {_first_words(error)}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiFileError(path, "holds a key of another kind than `racklet pki` makes")
    return key


def read_ca(certificate: Path, key: Path) -> Issued:
    """Return a CA that can sign. Raises PkiFileError."""
    ca = Issued(read_certificates(certificate)[0], read_key(key))
    if ca.certificate.public_key() != ca.key.public_key():
        raise PkiFileError(key, f"is not the key of {certificate}")
    return ca


def read_revoked(path: Path, cas: Iterable[x509.Certificate]) -> dict[int, datetime]:
    """Return the serials that a revocation list names, and since when. Raises PkiFileError."""
    try:
        crl = x509.load_pem_x509_crl(file_bytes(path))
    except ValueError as error:
        raise PkiFileError(path, f"holds no revocation list in PEM: {_first_words(error)}") from error
    if not any(_has_signed(ca, crl) for ca in cas):
        raise PkiFileError(path, "is signed by none of the CAs that callers are taken from")
    return {entry.serial_number: entry.revocation_date_utc for entry in crl}


def names_of(certificate: x509.Certificate) -> CertificateNames:
    """Return what a certificate says of its owner."""
    names = {
        f"{kind}:{attribute.value!s}"
        for kind, oid in _ATTRIBUTES.items()
        for attribute in certificate.subject.get_attributes_for_oid(oid)
    }
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        others = x509.SubjectAlternativeName([])
    names |= {f"uri:{value}" for value in others.get_values_for_type(x509.UniformResourceIdentifier)}
    names |= {f"dns:{value}" for value in others.get_values_for_type(x509.DNSName)}
    names |= {f"email:{value}" for value in others.get_values_for_type(x509.RFC822Name)}
    subject = certificate.subject.rfc4514_string() or min(names, default=f"serial {certificate.serial_number:x}")
    return CertificateNames(subject[:_TEXT_LIMIT], frozenset(names))


def _has_signed(ca: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        return crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]  # of keys that do not sign it says so
    except (TypeError, UnsupportedAlgorithm):
        return False


def _first_words(error: Exception) -> str:
    return str(error).split(". ", maxsplit=1)[0]
