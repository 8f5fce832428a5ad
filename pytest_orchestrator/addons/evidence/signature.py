"""Ed25519 signatures in a DSSE envelope. This module alone imports `cryptography`.

The envelope is that of https://github.com/secure-systems-lab/dsse, version 1. The id of a key is
the SHA-256 of its public half in DER; it only helps to choose a key and proves nothing.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pytest_orchestrator import OrchestratorError
from pytest_orchestrator.core.extras import is_installed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PublicKey,
    )

SIGNATURE: Final = "statement.dsse.json"
"""Name of the envelope in a bundle."""
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PASSWORD: Final = "ORCHESTRATOR_KEY_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variable with the password of a private key."""

_LARGEST: Final = 64 * 1024
_STANDARD: Final = str.maketrans("-_", "+/")


class KeyFileError(OrchestratorError):
    """Error: a key cannot be used, or the library that uses it is not installed."""

    slug = "key"


class Signer(NamedTuple):
    """A private key, ready to sign.

    Attributes:
        key_id: Id of the key.
        sign: Returns the signature of bytes.
    """

    key_id: str
    sign: Callable[[bytes], bytes]


class Verifier(NamedTuple):
    """A public key, ready to verify.

    Attributes:
        key_id: Id of the key.
        verifies: Returns True if a signature of bytes, the first argument, is of this key.
    """

    key_id: str
    verifies: Callable[[bytes, bytes], bool]


class _Signature(msgspec.Struct):
    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, rename="camel"):
    """DSSE envelope; bytes are in base64.

    Attributes:
        payload: The signed bytes.
        payload_type: Their type.
        signatures: The signatures, each with the id of its key.
    """

    payload: str
    payload_type: str
    signatures: list[_Signature]

    @property
    def body(self) -> bytes:
        """The signed bytes.

        Raises:
            ValueError: The payload is not base64.
        """
        return _decoded(self.payload)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys of its signatures, which prove nothing."""
        return tuple(one.keyid for one in self.signatures)

    def is_signed_by(self, key: Verifier) -> bool:
        """Return True if one of the signatures is of a key.

        Raises:
            ValueError: The payload is not base64.
        """
        message = encoded(self.payload_type, self.body)
        for one in self.signatures:
            try:
                signature = _decoded(one.sig)
            except ValueError:
                continue
            if key.verifies(signature, message):
                return True
        return False


def encoded(payload_type: str, body: bytes) -> bytes:
    """Return the bytes that a signature is about: the pre-authentication encoding of DSSE."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sealed(body: bytes, key: Signer, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the envelope of signed bytes as JSON."""
    signature = base64.b64encode(key.sign(encoded(payload_type, body))).decode()
    envelope = Envelope(
        payload=base64.b64encode(body).decode(),
        payload_type=payload_type,
        signatures=[_Signature(keyid=key.key_id, sig=signature)],
    )
    return msgspec.json.encode(envelope) + b"\n"


def opened(data: bytes) -> Envelope:
    """Return the envelope in JSON.

    Raises:
        ValueError: It is no envelope.
    """
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def _decoded(text: str) -> bytes:
    """Return the bytes in base64 of either alphabet.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode(text.translate(_STANDARD), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def private_key(path: Path, ask: Callable[[str], str] | None = None) -> Signer:
    """Return the private key in a PEM file.

    Args:
        path: The file, in PKCS 8.
        ask: Asks a person for a password, if `PASSWORD` is not set; None does not ask.

    Raises:
        KeyFileError: The file has no Ed25519 key, or its password is wrong or missing.
    """
    data = _read(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = _load_private(path, data, ask)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} has a key of another kind; {_MAKE.format(path)}")
    return Signer(key_id(key.public_key()), key.sign)


_MAKE: Final = "make one with: openssl genpkey -algorithm ed25519 -out {}"
_TAKE: Final = "take the public key out of it with: openssl pkey -in {} -pubout -out public.pem"


def _load_private(path: Path, data: bytes, ask: Callable[[str], str] | None) -> Any:
    """Load a private key of any kind.

    Raises:
        KeyFileError: It cannot be loaded.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PUBLIC KEY" in data:
        raise KeyFileError(f"{path} is a public key; sign with the private one")
    password = None
    if b"BEGIN ENCRYPTED" in data:
        password = os.environ.get(PASSWORD) or (ask(f"Password of {path}: ") if ask else "")
        if not password:
            raise KeyFileError(f"{path} is encrypted; set {PASSWORD}")
    try:
        return load_pem_private_key(data, password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "cannot be decrypted; its password is another one" if password else "has no key"
        cure = "" if password else f" in PEM; {_MAKE.format(path)}"
        raise KeyFileError(f"{path} {why}{cure}") from None


def public_key(path: Path) -> Verifier:
    """Return the public key in a PEM file.

    Raises:
        KeyFileError: The file has no public Ed25519 key.
    """
    data = _read(path)
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in data:
        raise KeyFileError(f"{path} is a private key; {_TAKE.format(path)}")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} has no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} has a key of another kind; signatures here are of Ed25519")

    def verifies(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return Verifier(key_id(key), verifies)


def key_id(key: "Ed25519PublicKey") -> str:
    """Return the id of a key: SHA-256 of its SubjectPublicKeyInfo in DER, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> bytes:
    """Return the content of a key file, after a check that the library is installed.

    Raises:
        KeyFileError: It cannot be read.
    """
    if not is_installed("sign"):
        raise KeyFileError(
            "the extra sign is not installed; run: pip install 'pytest-orchestrator[sign]'"
        )
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
