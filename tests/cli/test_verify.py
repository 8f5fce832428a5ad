"""`pytest-orchestrator verify`."""

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pytest_orchestrator.addons.evidence.signature import public_key
from tests.addons.evidence.test_signature import SEED, written
from tests.cli.conftest import Project
from tests.runs.built import Runs


def test_unmodified_run_is_verified(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a").step("a")
    built.write("logs/psu/a.1.stdout", "{}\n")
    folder = built.seal()
    done = project.call("verify", "latest")

    assert (done.code, done.err) == (0, "")
    start = f"{folder.name}: 6 lines and 1 file are unmodified\nseal "
    assert done.out.startswith(start)
    assert len(done.out) == len(start) + 65
    assert project.call("verify") == done


def test_verify_names_the_modified_file_or_line(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a").step("a")
    log = built.write("logs/psu/a.1.stdout", "{}\n")
    folder = built.seal()
    log.write_text("[]\n")
    done = project.call("verify", folder.name)
    assert done == (1, f"{folder.name}: logs/psu/a.1.stdout: it was changed\n", "")

    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"passed"', b'"failed"', 1))
    done = project.call("verify", str(folder))
    reason = "it, or the hash of the line before it, was changed"
    assert done == (1, f"{folder.name}: journal.jsonl:4: {reason}\n", "")
    plain = json.loads(project.call("verify", folder.name, "--json").out)
    assert (plain["holds"], plain["state"]) == (False, "damaged")
    assert plain["flaws"] == [{"where": "journal.jsonl:4", "why": reason}]


def test_run_without_an_end_is_not_verified(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a")
    done = project.call("verify", "latest")
    name = built.folder.name
    summary = f"{name}: it is still running: 2 lines are unmodified, but the journal has no seal"
    assert done == (1, f"{summary}\n", "")
    built.cut()
    assert ": it was interrupted: 2 lines " in project.call("verify", "latest").out


def test_a_bundle_is_signed_and_verified_with_a_key(project: Project, runs: Runs) -> None:
    folder = runs.new().begin("a").step("a").seal()
    private, public = written(project.path, "a", Ed25519PrivateKey.from_private_bytes(SEED))
    key_id = public_key(public).key_id

    done = project.call("report", "--bundle", "a.zip", "--key", private.name)
    assert done == (0, f"a.zip: 7 files of run {folder.name}, signed by key {key_id}\n", "")
    done = project.call("verify", "a.zip", "--key", public.name)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"signed by key {key_id}")
    done = project.call("verify", "a.zip")
    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        f"signed by key {key_id}, not checked: add --key FILE.pem",
    )
    plain = json.loads(project.call("verify", "a.zip", "--json").out)
    assert (plain["signed_by"], plain["is_signature_checked"]) == ([key_id], False)
    done = project.call("verify", "latest", "--key", public.name)
    assert done.err.endswith("only a bundle has a signature; latest is no zip file that exists\n")
    done = project.call("report", "--key", private.name)
    assert done.err.endswith("error: --key signs a bundle; add --bundle FILE.zip\n")
    done = project.call("verify", "a.zip", "--key", private.name)
    assert (done.code, "a.pem is a private key; take the public key" in done.err) == (2, True)
