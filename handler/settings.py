"""``N.settings``: which file counts, its shape, and its protected part (spec/vm-agent.md 5)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MAX_BYTES = 16 * 1024 * 1024
BAD_SETTINGS = 53
MISSING_DEPENDENCY = 52
_ROOT = "$.runtimeSettings[0].handlerSettings"
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40,128}")

Decrypt = Callable[[bytes, "str | None", str], bytes]


class SettingsError(Exception):
    """Settings that cannot be used. ``exit_code`` is 53, or 52 if a tool is missing; the text has no secret."""

    def __init__(self, message: str, exit_code: int = BAD_SETTINGS) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Found(NamedTuple):
    """The settings file that counts. ``note`` says what was odd about finding it."""

    sequence: int
    path: str
    note: str = ""


class Settings(NamedTuple):
    """One settings file, opened. ``cert`` and ``key`` are the tenant's files, None without protected settings."""

    public: Any
    protected: Any
    cert: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"Settings(public={self.public!r}, cert={self.cert!r}, key={self.key!r})"


def find(config_folder: str, environ: Mapping[str, str]) -> Found | None:
    """``ConfigSequenceNumber`` if its file exists, else the newest file by time; None if there is none."""
    note = ""
    told = environ.get("ConfigSequenceNumber", "").strip()
    if told:
        number = int(told) if told.isascii() and told.isdigit() and len(told) < 19 else -1
        path = os.path.join(config_folder, f"{number}.settings")
        if number >= 0 and os.path.isfile(path):
            return Found(number, path)
        note = f"ConfigSequenceNumber={told[:32]!r} has no settings file in {config_folder}"
    newest: tuple[int, int, str] | None = None
    try:
        entries = list(os.scandir(config_folder))
    except OSError:
        entries = []
    for entry in entries:
        stem, dot, kind = entry.name.rpartition(".")
        if dot and kind == "settings" and stem.isascii() and stem.isdigit() and len(stem) < 19:
            try:
                if not entry.is_file():
                    continue
                candidate = (entry.stat().st_mtime_ns, int(stem), entry.path)
            except OSError:
                continue
            newest = max(newest, candidate) if newest else candidate
    if newest is None:
        return None
    return Found(newest[1], newest[2], f"{note}: using {newest[2]}" if note else "")


def thumbprint(found: Found) -> str | None:
    """The certificate that the protected part is encrypted for, "" without one; None if the file cannot be read."""
    try:
        text = _text(found.path)
        body = _handler_settings(text, found.path) if text.strip() else {}
    except SettingsError:
        return None
    named = body.get("protectedSettingsCertThumbprint") if body.get("protectedSettings") else None
    return named.upper() if isinstance(named, str) else ""


def load(found: Found, lib_dir: str, decrypt: Decrypt) -> Settings:
    """Read, check and decrypt a settings file; an empty file has neither public nor protected settings."""
    text = _text(found.path)
    if not text.strip():
        return Settings(None, None)
    body = _handler_settings(text, found.path)
    public = body.get("publicSettings")
    if public is not None and not isinstance(public, dict):
        raise _problem(found.path, ".publicSettings", f"is {_kind(public)}", "give an object")
    sealed = body.get("protectedSettings")
    if sealed is None or sealed == "":
        return Settings(public, None)
    if not isinstance(sealed, str):
        raise _problem(
            found.path, ".protectedSettings", f"is {_kind(sealed)}",
            "the VM agent writes it as base64 of an encrypted message",
        )  # fmt: skip
    thumbprint = body.get("protectedSettingsCertThumbprint")
    if not isinstance(thumbprint, str) or not _THUMBPRINT.fullmatch(thumbprint):
        raise _problem(
            found.path, ".protectedSettingsCertThumbprint", "is not the hexadecimal thumbprint of a certificate",
            "set the extension again so that the platform encrypts its settings anew",
        )  # fmt: skip
    cert, key = _key_files(lib_dir, thumbprint)
    return Settings(public, _open(found.path, sealed, cert, key, decrypt), cert, key)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path} is larger than {MAX_BYTES} bytes; shorten the settings")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 at byte {error.start}; set the extension again") from None


def _handler_settings(text: str, path: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{path} line {error.lineno} column {error.colno}: not JSON ({error.msg}); set the extension again"
        ) from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path}: JSON too deep or with too long a number; simplify the settings") from None
    where = "$"
    for step in ("runtimeSettings", 0, "handlerSettings"):
        if isinstance(step, int):
            if not isinstance(value, list) or not value:
                odd = "an array without an entry" if value == [] else f"{_kind(value)}, not an array of one object"
                raise SettingsError(f"{path}: {where} is {odd}; the VM agent writes runtimeSettings[0].handlerSettings")
            value, where = value[0], f"{where}[0]"
        else:
            if not isinstance(value, dict) or step not in value:
                raise SettingsError(
                    f"{path}: {where} is {_kind(value)} without {step!r}; "
                    "the VM agent writes runtimeSettings[0].handlerSettings"
                )
            value, where = value[step], f"{where}.{step}"
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: {where} is {_kind(value)}, not an object; set the extension again")
    return value


def _key_files(lib_dir: str, thumbprint: str) -> tuple[str | None, str]:
    """The tenant's certificate (None if only the key is there) and private key."""
    for name in dict.fromkeys((thumbprint, thumbprint.upper(), thumbprint.lower())):
        key = os.path.join(lib_dir, f"{name}.prv")
        if os.path.exists(key):
            cert = os.path.join(lib_dir, f"{name}.crt")
            return (cert if os.path.exists(cert) else None), key
    raise SettingsError(
        f"{_ROOT}.protectedSettings needs the key file {os.path.join(lib_dir, thumbprint.upper())}.prv, which is "
        "not there; restart the VM agent, which fetches the VM's certificates"
    )


def _open(path: str, sealed: str, cert: str | None, key: str, decrypt: Decrypt) -> Any:
    try:
        message = base64.b64decode("".join(sealed.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _problem(path, ".protectedSettings", "is not base64", "set the extension again") from None
    clear = decrypt(message, cert, key)
    try:
        value = json.loads(clear.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # the text of a decoding error could quote the secret
        raise _problem(path, ".protectedSettings", "decrypts to something that is not JSON", "give an object") from None
    if not isinstance(value, dict):
        raise _problem(path, ".protectedSettings", f"decrypts to {_kind(value)}", "give an object")
    return value


def _problem(path: str, key: str, what: str, cure: str) -> SettingsError:
    return SettingsError(f"{path}: {_ROOT}{key} {what}; {cure}")


def _kind(value: Any) -> str:
    """JSON's own word for a value's type."""
    if value is None:
        return "null"
    for python, word in ((bool, "a boolean"), (str, "a string"), (list, "an array"), (dict, "an object")):
        if isinstance(value, python):
            return word
    return "a number"
