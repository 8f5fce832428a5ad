"""Signatures: envelopes of DSSE, keys in files, and bundles that are refused."""

from __future__ import annotations

import base64
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pytest_orchestrator.addons.evidence import bundle, signature
from pytest_orchestrator.addons.evidence.bundle import verify_bundle, write_bundle
from pytest_orchestrator.addons.evidence.signature import (
    KeyFileError,
    encoded,
    opened,
    private_key,
    public_key,
    sealed,
)
from pytest_orchestrator.core import extras
from pytest_orchestrator.runs.lookup import load_record
from tests.addons.evidence.test_bundle import contents, zipped
from tests.house.readers import have_readers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs

SEED = bytes(range(32))
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'
TYPE = "application/vnd.in-toto+json"


def written(folder: Path, name: str, key: Any, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a key pair as PEM; return the files of its private and of its public half."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A key."""
    return written(tmp_path, "a", Ed25519PrivateKey.from_private_bytes(SEED))


@pytest.fixture
def other(tmp_path: Path) -> tuple[Path, Path]:
    """Another key."""
    return written(tmp_path, "b", Ed25519PrivateKey.generate())


@pytest.fixture
def folder(runs: Runs) -> Path:
    built = runs.new(sha256="1" * 64).begin("a", digests={"a.sh": "2" * 64}).step("a")
    built.write("logs/psu/a.1.stdout", '{"status": "ok"}\n')
    return built.seal()


@pytest.fixture
def signed(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    """A signed bundle."""
    out = tmp_path / "signed.zip"
    write_bundle(folder, load_record(folder), out, key=private_key(keys[0]))
    return out


def flaws(path: Path, public: Path | None) -> list[str]:
    verification = verify_bundle(path, public_key(public) if public else None)
    assert verification.holds is not bool(verification.flaws)
    return [str(flaw) for flaw in verification.flaws]


def test_the_encoding_is_that_of_dsse() -> None:
    assert encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert encoded("application/vnd.ex\u00e4mple+json", b"").startswith(b"DSSEv1 29 ")
    assert encoded("x", b"") == b"DSSEv1 1 x 0 "


def test_an_envelope_is_signed_over_the_type_and_the_body(keys: tuple[Path, Path]) -> None:
    envelope = json.loads(sealed(STATEMENT, private_key(keys[0])))
    message = b"DSSEv1 28 %s %d %s" % (TYPE.encode(), len(STATEMENT), STATEMENT)
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(message)

    assert envelope["payload"] == base64.b64encode(STATEMENT).decode()
    assert envelope["payloadType"] == TYPE
    assert [one["sig"] for one in envelope["signatures"]] == [base64.b64encode(signature).decode()]
    key = public_key(keys[1])
    assert envelope["signatures"][0]["keyid"] == key.key_id == private_key(keys[0]).key_id
    assert opened(json.dumps(envelope).encode()).is_signed_by(key)
    url_safe = json.dumps(envelope).replace("+", "-").replace("/", "_").replace("_vnd.", "/vnd.")
    url_safe = url_safe.replace("in-toto-json", "in-toto+json")
    assert opened(url_safe.encode()).is_signed_by(key)
    swapped = envelope | {"payloadType": "application/vnd.example.other+json"}
    assert not opened(json.dumps(swapped).encode()).is_signed_by(key)


def test_only_the_key_that_was_checked_has_signed(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    files = contents(signed)
    envelope = json.loads(files["statement.dsse.json"])
    envelope["signatures"].append({"keyid": "f" * 64, "sig": "AAAA"})
    more = zipped(
        tmp_path / "more.zip", files | {"statement.dsse.json": json.dumps(envelope).encode()}
    )
    verification = verify_bundle(more, public_key(keys[1]))

    assert verification.holds
    assert verification.signed_by == (public_key(keys[1]).key_id,)


def test_a_bundle_that_is_exchanged_while_it_is_verified_is_refused(
    signed: Path,
    keys: tuple[Path, Path],
    runs: Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forged = runs.new().begin("a").step("a").seal()
    write_bundle(forged, load_record(forged), tmp_path / "forged.zip")
    own = contents(tmp_path / "forged.zip")
    envelope = {"statement.dsse.json": contents(signed)["statement.dsse.json"]}
    mixed = zipped(tmp_path / "mixed.zip", own | envelope)
    exchanged = [own["statement.json"], contents(signed)["statement.json"]]
    read = zipfile.ZipFile.read

    def racing(archive: zipfile.ZipFile, name: str) -> bytes:
        return exchanged.pop(0) if name == "statement.json" else read(archive, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", racing)

    assert flaws(mixed, keys[1]) == ["statement.dsse.json: it signs another statement"]


def test_a_signed_bundle_is_verified_with_its_key(
    signed: Path, folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    verification = verify_bundle(signed, public_key(keys[1]))

    assert (verification.holds, verification.is_signature_checked) == (True, True)
    assert verification.signed_by == (public_key(keys[1]).key_id,)
    assert not verify_bundle(signed).is_signature_checked
    again = tmp_path / "again.zip"
    write_bundle(folder, load_record(folder), again, key=private_key(keys[0]))
    assert again.read_bytes() == signed.read_bytes()


def test_one_changed_byte_in_any_file_of_a_signed_bundle_is_named(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    files, changed = contents(signed), tmp_path / "changed.zip"
    for name, data in files.items():
        for place in (0, len(data) // 2, len(data) - 2):
            spoilt = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            found = flaws(zipped(changed, files | {name: spoilt}), keys[1])
            assert found[0].startswith(f"{name}: ") or name == "statement.json", (name, found)
            assert any(one.startswith(f"{name}: ") for one in found)


def test_truncated_swapped_stripped_and_re_signed_bundles_are_refused(
    signed: Path, folder: Path, keys: tuple[Path, Path], other: tuple[Path, Path], tmp_path: Path
) -> None:
    files, changed = contents(signed), tmp_path / "changed.zip"
    changed.write_bytes(signed.read_bytes()[:-100])
    assert flaws(changed, keys[1])[0].startswith("changed.zip: it is no bundle any more: ")

    stripped = {name: data for name, data in files.items() if "dsse" not in name}
    assert flaws(zipped(changed, stripped), keys[1]) == [
        "statement.dsse.json: it is gone, or the bundle was never signed"
    ]
    assert flaws(zipped(changed, stripped), None) == []

    write_bundle(folder, load_record(folder), changed, key=private_key(other[0]))
    ids = [public_key(one).key_id[:16] for one in (other[1], keys[1])]
    assert flaws(changed, keys[1]) == [
        f"statement.dsse.json: it is signed by {ids[0]}, not by {ids[1]}"
    ]
    # Signed by another key, and labelled with the id of the right one.
    envelope = json.loads(contents(changed)["statement.dsse.json"])
    envelope["signatures"][0]["keyid"] = public_key(keys[1]).key_id
    forged = json.dumps(envelope).encode()
    assert flaws(zipped(changed, files | {"statement.dsse.json": forged}), keys[1]) == [
        "statement.dsse.json: it was changed"
    ]


def test_a_rebuilt_bundle_with_the_signature_of_another_one_is_refused(
    signed: Path, keys: tuple[Path, Path], runs: Runs, tmp_path: Path
) -> None:
    folder = runs.new(sha256="1" * 64).begin("a").step("a", "failed").seal(exit_status=1)
    made, changed = tmp_path / "failed.zip", tmp_path / "changed.zip"
    write_bundle(folder, load_record(folder), made)
    pair = ("statement.json", "statement.dsse.json")
    stolen = {name: data for name, data in contents(signed).items() if name in pair}

    assert flaws(zipped(changed, contents(made) | stolen), keys[1]) == [
        "statement.json: it was changed, or is about another run"
    ]
    only = contents(made) | {pair[1]: stolen[pair[1]]}
    assert flaws(zipped(changed, only), keys[1]) == [
        "statement.dsse.json: it signs another statement"
    ]
    # A manifest that calls itself an old one, and has the stolen pair among its files.
    files = {name: data for name, data in contents(made).items() if name != "manifest.json"}
    manifest = json.loads(contents(made)["manifest.json"])
    listed = {name: (size, digest) for name, (size, digest) in manifest["files"].items()}
    old = bundle.Manifest(schema_version="1.0", run=folder.name, files=listed)
    old = bundle.Manifest(schema_version="1.0", run=old.run, files=listed, sha256=old.digest())
    downgraded = files | stolen | {"manifest.json": old.encoded()}
    assert flaws(zipped(changed, downgraded), keys[1]) == [
        "statement.json: it was changed, or is about another run"
    ]
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(signed, "a") as archive:
        archive.writestr("statement.dsse.json", contents(signed)["statement.dsse.json"])
    assert flaws(signed, keys[1]) == ["statement.dsse.json: it occurs twice"]


def test_a_file_that_changes_while_it_is_bundled_is_not_signed(
    folder: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = vars(bundle)["_copy"]

    def changing(archive: Any, name: str, path: Path, when: Any) -> Any:
        if name.endswith("stdout"):
            path.write_text('{"status": "no"}\n')
        return copy(archive, name, path, when)

    monkeypatch.setattr(bundle, "_copy", changing)
    with pytest.raises(KeyFileError) as caught:
        write_bundle(folder, load_record(folder), tmp_path / "late.zip", key=private_key(keys[0]))

    assert str(caught.value) == (
        "run/logs/psu/a.1.stdout: it was changed after the run had ended, before it was bundled; "
        "a bundle with a change is not signed"
    )
    assert not [*tmp_path.glob("*late.zip*")]


def test_a_key_that_cannot_be_used_is_named_with_the_cure(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(signature.PASSWORD, raising=False)
    locked, _ = written(tmp_path, "locked", Ed25519PrivateKey.generate(), b"open sesame")
    rsa_pair = written(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    bad = tmp_path / "bad.pem"
    bad.write_text("no key\n")
    make = "make one with: openssl genpkey -algorithm ed25519 -out"

    def problem(call: Any, path: Path, *more: Any) -> str:
        with pytest.raises(KeyFileError) as caught:
            call(path, *more)
        return str(caught.value).replace(str(tmp_path), "")

    assert problem(private_key, tmp_path / "no.pem") == "/no.pem: No such file or directory"
    assert problem(private_key, bad) == f"/bad.pem has no key in PEM; {make} /bad.pem"
    assert problem(private_key, keys[1]) == "/a.pub is a public key; sign with the private one"
    assert problem(private_key, rsa_pair[0]) == (
        f"/rsa.pem has a key of another kind; {make} /rsa.pem"
    )
    assert problem(private_key, locked) == (
        "/locked.pem is encrypted; set ORCHESTRATOR_KEY_PASSWORD"
    )
    wrong = "/locked.pem cannot be decrypted; its password is another one"
    assert problem(private_key, locked, lambda _: "guess") == wrong
    assert problem(public_key, keys[0]) == (
        "/a.pem is a private key; take the public key out of it with: "
        "openssl pkey -in /a.pem -pubout -out public.pem"
    )
    assert problem(public_key, bad) == "/bad.pem has no public key in PEM"
    assert problem(public_key, rsa_pair[1]).endswith("signatures here are of Ed25519")
    monkeypatch.setenv(signature.PASSWORD, "open sesame")
    assert private_key(locked).key_id
    monkeypatch.setattr(extras, "EXTRAS", {"sign": ("no_such_module",)})
    assert problem(private_key, keys[0]) == (
        "the extra sign is not installed; run: pip install 'pytest-orchestrator[sign]'"
    )


@pytest.mark.nightly
def test_the_libraries_of_others_read_the_statement_and_the_envelope(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    have_readers(monkeypatch)
    from google.protobuf import json_format
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    files = contents(signed)
    message = json_format.Parse(files["statement.json"], Message())
    Statement.copy_from_pb(message).validate()
    result = json_format.ParseDict(json_format.MessageToDict(message.predicate), TestResult())
    assert (result.result, [*result.passed_tests]) == ("PASSED", ["recipes/psu.yaml::a"])
    assert [one.name for one in message.subject] == ["manifest.json", "recipes/psu.yaml", "a.sh"]

    raw = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()
    envelope = Envelope.from_dict(json.loads(files["statement.dsse.json"]))
    key = SSlibKey(public_key(keys[1]).key_id, "ed25519", "ed25519", {"public": raw})
    assert envelope.verify([key], 1)
    assert envelope.payload == files["statement.json"]
