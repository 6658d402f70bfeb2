"""Encrypting and decrypting with the real openssl command, and its failures."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extension.config.secrets import SecretError, decrypt_cms, decrypt_hex, seal_for

SELF_SIGNED = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]


def pair(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate and its key as the VM agent names them."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.prv"
    subprocess.run(
        [*SELF_SIGNED, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return str(cert), str(key)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return pair(tmp_path_factory.mktemp("agent"), "AAAA")


@pytest.mark.parametrize(
    "secret", ["s", 'it\'s "quoted" $HOME `x`', "sv=1&sig=a%2Bb%3D", "zażółć", "a\r\nb\nc", "x" * 5000]
)
def test_what_is_sealed_opens_again(agent: tuple[str, str], secret: str) -> None:
    cert, key = agent
    sealed, path = seal_for(cert, key)(secret)
    assert path == key
    assert sealed == sealed.upper()
    assert len(secret) < 4 or secret.encode() not in bytes.fromhex(sealed)
    assert decrypt_cms(bytes.fromhex(sealed), cert, key) == secret.encode()
    if secret.isprintable():
        assert decrypt_hex(sealed, key) == secret


def test_opens_without_the_certificate(agent: tuple[str, str], tmp_path: Path) -> None:
    cert, key = agent
    moved = tmp_path / "other.pem"
    moved.write_bytes(Path(key).read_bytes())
    assert decrypt_hex(seal_for(cert, key)("secret")[0], str(moved)) == "secret"


def test_opens_with_a_pkcs12_file(agent: tuple[str, str], tmp_path: Path) -> None:
    cert, key = agent
    packed = tmp_path / "k.p12"
    command = ["openssl", "pkcs12", "-export", "-inkey", key, "-in", cert, "-passout", "pass:", "-out", str(packed)]
    subprocess.run(command, check=True, capture_output=True)
    assert decrypt_hex(seal_for(cert, key)("secret")[0], str(packed)) == "secret"


def test_what_the_agent_sends_opens(agent: tuple[str, str]) -> None:
    cert, key = agent
    for command in ("cms", "smime"):
        made = subprocess.run(
            ["openssl", command, "-encrypt", "-outform", "DER", "-aes256", cert],
            input=b'{"storageAccountName": "a"}',
            capture_output=True,
            check=True,
        )
        assert decrypt_cms(made.stdout, cert, key) == b'{"storageAccountName": "a"}'


@pytest.mark.parametrize("with_cert", [True, False])
def test_another_machine_s_key_opens_nothing(agent: tuple[str, str], tmp_path: Path, with_cert: bool) -> None:
    _, other_key = pair(tmp_path, "BBBB")
    if not with_cert:
        os.unlink(tmp_path / "BBBB.crt")
    sealed, _ = seal_for(*agent)("the secret text")
    with pytest.raises(SecretError) as refused:
        decrypt_hex(sealed, other_key)
    assert other_key in str(refused.value)
    assert "secret text" not in str(refused.value)
    assert sealed not in str(refused.value)


def test_noise_is_refused_with_openssl_s_words(agent: tuple[str, str]) -> None:
    with pytest.raises(SecretError, match=r"openssl cms: .+; openssl smime: .+"):
        decrypt_cms(b"no message at all", *agent)
    with pytest.raises(SecretError, match="not hexadecimal"):
        decrypt_hex("XYZ", agent[1])


def test_missing_files_are_named(agent: tuple[str, str]) -> None:
    with pytest.raises(SecretError, match=r"private key /nowhere/T.prv: No such file"):
        decrypt_hex("AB", "/nowhere/T.prv")
    with pytest.raises(SecretError, match=r"certificate /nowhere/T.crt: No such file"):
        decrypt_cms(b"x", "/nowhere/T.crt", agent[1])
    with pytest.raises(SecretError, match=r"certificate /nowhere/T.crt: No such file"):
        seal_for("/nowhere/T.crt", agent[1])("s")


def _raising(problem: Exception) -> Callable[..., Any]:
    def run(*_: object, **__: object) -> Any:
        raise problem

    return run


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (FileNotFoundError(2, "No such file"), "openssl command is not installed"),
        (subprocess.TimeoutExpired(["openssl"], 20), "no answer within 20 s"),
        (PermissionError(13, "Permission denied"), "cannot be started: Permission denied"),
    ],
)
def test_openssl_that_does_not_run(agent: tuple[str, str], problem: Exception, message: str) -> None:
    with pytest.raises(SecretError, match=message):
        decrypt_cms(b"x", *agent, run=_raising(problem))
    with pytest.raises(SecretError, match=message):
        seal_for(*agent, run=_raising(problem))("s")


def test_secrets_are_never_arguments(agent: tuple[str, str]) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        seen.append(argv)
        assert options["timeout"] <= 20
        return subprocess.run(argv, check=False, **{k: v for k, v in options.items() if k != "check"})

    sealed, _ = seal_for(*agent, run=run)("the secret")
    assert decrypt_hex(sealed, agent[1], run) == "the secret"
    assert len(seen) == 2
    assert all("the secret" not in word and sealed not in word for argv in seen for word in argv)


def test_an_openssl_without_cms_seals_and_opens_with_smime(agent: tuple[str, str]) -> None:
    cert, key = agent

    def old(argv: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        if argv[1] == "cms":
            return subprocess.CompletedProcess(argv, 1, b"", b"openssl:Error: 'cms' is an invalid command.\n")
        return subprocess.run(argv, **more)

    sealed, _ = seal_for(cert, key, old)("secret")
    assert decrypt_cms(bytes.fromhex(sealed), cert, key, old) == b"secret"
    assert decrypt_hex(sealed, key) == "secret"


def test_an_openssl_that_hangs_is_asked_once(agent: tuple[str, str]) -> None:
    cert, key = agent
    asked: list[str] = []

    def hangs(argv: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(argv[1])
        raise subprocess.TimeoutExpired(argv, more["timeout"])

    with pytest.raises(SecretError, match="no answer within") as found:
        decrypt_cms(b"x", cert, key, hangs)
    assert found.value.tool
    assert asked == ["cms"]
