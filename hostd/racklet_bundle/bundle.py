"""A bundle: manifest, signature and files in one tar archive, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import Final

from racklet_boot import lms
from racklet_bundle.errors import BundleError
from racklet_bundle.manifest import FILES_MAX, MANIFEST_MAX, SIZE_MAX, Manifest

BUNDLE_MAX: Final = SIZE_MAX + (FILES_MAX + 4) * 1024 + MANIFEST_MAX + 10240
_MANIFEST = "manifest.json"
_SIGNATURE = "manifest.sig"
_SIGNATURE_MAX = 9000  # of W1; of W4 it is 2508


@dataclass(frozen=True, slots=True)
class Bundle:
    """Content that belongs together: the files are what the manifest says.

    `signature` is the identity of the key that signed, 16 bytes, and what LMS made; empty before it is signed.
    """

    manifest: Manifest
    files: tuple[bytes, ...]
    signature: bytes = b""

    @property
    def head(self) -> bytes:
        """What a HAT verifies before it takes a file: the manifest and its signature."""
        return self.manifest.encode() + self.signature

    @property
    def digest(self) -> bytes:
        """Names the bundle: the SHA-256 of its head."""
        return hashlib.sha256(self.head).digest()

    @property
    def stream(self) -> bytes:
        """What is sent to a HAT: the head, then the files one after the other."""
        return self.head + b"".join(self.files)

    def is_signed_by(self, public_key: bytes) -> bool:
        """Tell whether the signature is one of this key."""
        identity, signature = self.signature[: lms.IDENTITY_BYTES], self.signature[lms.IDENTITY_BYTES :]
        return identity == lms.identity_of(public_key) and lms.verify(public_key, self.manifest.encode(), signature)

    @property
    def signer(self) -> bytes:
        """The identity of the key that is said to have signed; empty before it is signed."""
        return self.signature[: lms.IDENTITY_BYTES]

    def encode(self) -> bytes:
        """Return the archive."""
        archive = io.BytesIO()
        members = [(_MANIFEST, self.manifest.encode())]
        if self.signature:
            members.append((_SIGNATURE, self.signature))
        members += zip((file.name for file in self.manifest.files), self.files, strict=True)
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in members:
                about = tarfile.TarInfo(name)
                about.size, about.mode = len(content), 0o644
                tar.addfile(about, io.BytesIO(content))
        return archive.getvalue()

    @classmethod
    def decode(cls, archive: bytes) -> Bundle:
        """Return the content of an archive. Raises BundleError for anything but what `encode` gives."""
        if len(archive) > BUNDLE_MAX:
            raise BundleError(f"it has {len(archive)} bytes, and a bundle has at most {BUNDLE_MAX}")
        members = _members(archive)
        if not members or members[0][0] != _MANIFEST:
            raise BundleError("it is no bundle of Racklet's firmware: it does not begin with a manifest")
        manifest = Manifest.decode(members.pop(0)[1])
        signature = members.pop(0)[1] if members and members[0][0] == _SIGNATURE else b""
        if len(signature) > _SIGNATURE_MAX:
            raise BundleError(f"its signature has {len(signature)} bytes")
        _check_files(manifest, members)
        bundle = cls(manifest, tuple(content for _, content in members), signature)
        if bundle.encode() != archive:
            raise BundleError("it is not written the one way in which a bundle may be")
        return bundle


def _members(archive: bytes) -> list[tuple[str, bytes]]:
    members: list[tuple[str, bytes]] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            while (about := tar.next()) is not None:
                content = tar.extractfile(about) if about.isreg() else None
                if content is None or len(members) > FILES_MAX + 2:
                    raise BundleError("it is no bundle of Racklet's firmware: it holds what no bundle does")
                members.append((about.name, content.read()))
                if len(members[-1][1]) != about.size:
                    raise BundleError(f"it ends in the middle of {about.name[:80]}")
    except (tarfile.TarError, ValueError, OverflowError, OSError) as error:
        raise BundleError("it is no bundle of Racklet's firmware: it is damaged, or no tar archive") from error
    return members


def _check_files(manifest: Manifest, members: list[tuple[str, bytes]]) -> None:
    if [name for name, _ in members] != [file.name for file in manifest.files]:
        raise BundleError("its files are not those that its manifest names")
    for file, (_, content) in zip(manifest.files, members, strict=True):
        if (len(content), hashlib.sha256(content).hexdigest()) != (file.length, file.sha256):
            raise BundleError(f"{file.name} is not what the manifest says: the bundle is damaged")
