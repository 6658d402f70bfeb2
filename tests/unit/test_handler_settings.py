"""N.settings: which one counts, every odd shape, protected settings through real openssl."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.config.secrets import decrypt_cms
from extension.vmagent import secrets as tenants
from handler import settings
from handler.settings import Found, SettingsError

THUMB = "A" * 40
SECRET = "t0p-s3cret-value"


def never(message: bytes, cert: str | None, key: str) -> bytes:
    raise AssertionError("nothing to decrypt")


def handler_form(**body: Any) -> str:
    return json.dumps({"runtimeSettings": [{"handlerSettings": body}]})


def load(path: Path, content: str | bytes, decrypt: settings.Decrypt = never) -> settings.Settings:
    target = path / "3.settings"
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return settings.load(Found(3, str(target)), str(path), decrypt)


class TestFind:
    def make(self, folder: Path, *times: tuple[str, int]) -> None:
        for name, when in times:
            (folder / name).write_text("")
            os.utime(folder / name, (when, when))

    def test_environment_variable_wins_if_its_file_exists(self, tmp_path: Path) -> None:
        self.make(tmp_path, ("2.settings", 100), ("5.settings", 200))
        assert settings.find(str(tmp_path), {"ConfigSequenceNumber": "2"}) == Found(2, str(tmp_path / "2.settings"))

    def test_newest_by_time_not_by_number(self, tmp_path: Path) -> None:
        self.make(tmp_path, ("9.settings", 100), ("3.settings", 200), ("x.settings", 300), ("4.status", 400))
        found = settings.find(str(tmp_path), {})
        assert found == Found(3, str(tmp_path / "3.settings"))

    @pytest.mark.parametrize("told", ["7", "-1", "x", "../2", "9" * 30, "²"])
    def test_a_number_without_file_is_noted(self, tmp_path: Path, told: str) -> None:
        self.make(tmp_path, ("2.settings", 100))
        found = settings.find(str(tmp_path), {"ConfigSequenceNumber": told})
        assert found is not None
        assert found.sequence == 2
        assert "ConfigSequenceNumber" in found.note

    def test_none(self, tmp_path: Path) -> None:
        assert settings.find(str(tmp_path), {"ConfigSequenceNumber": "0"}) is None
        assert settings.find(str(tmp_path / "absent"), {}) is None


class TestShapes:
    def test_empty_file_means_no_settings(self, tmp_path: Path) -> None:
        assert load(tmp_path, "") == settings.Settings(None, None)

    def test_public_only(self, tmp_path: Path) -> None:
        got = load(tmp_path, handler_form(publicSettings={"a": 1}, protectedSettings=None))
        assert (got.public, got.protected) == ({"a": 1}, None)

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        assert load(tmp_path, "\ufeff" + handler_form(publicSettings={})).public == {}

    @pytest.mark.parametrize(
        ("content", "part"),
        [
            ("{\n  nope", "line 2 column 3"),
            (b"\xff\xfe", "UTF-8"),
            ("[]", r"\$ is an array without 'runtimeSettings'"),
            ("7", r"\$ is a number"),
            ('{"runtimeSettings": {}}', r"\$.runtimeSettings is an object"),
            ('{"runtimeSettings": []}', r"\$.runtimeSettings is an array"),
            ('{"runtimeSettings": [null]}', r"\$.runtimeSettings\[0\] is null"),
            ('{"runtimeSettings": [{"handlerSettings": "x"}]}', "handlerSettings is a string"),
            (handler_form(publicSettings=[1]), "publicSettings is an array"),
            (handler_form(publicSettings="x"), "publicSettings is a string"),
            (handler_form(protectedSettings={"k": SECRET}), "protectedSettings is an object"),
            (handler_form(protectedSettings="QQ=="), "protectedSettingsCertThumbprint"),
            (handler_form(protectedSettings="QQ==", protectedSettingsCertThumbprint="../../x"), "Thumbprint"),
            (handler_form(protectedSettings="QQ==", protectedSettingsCertThumbprint=THUMB), f"{THUMB}.prv"),
            ("[" * 200_000, "too deep"),
        ],
    )
    def test_odd_shapes_are_named(self, tmp_path: Path, content: str | bytes, part: str) -> None:
        with pytest.raises(SettingsError, match=part) as caught:
            load(tmp_path, content)
        assert caught.value.exit_code == 53
        assert SECRET not in str(caught.value)

    def test_unreadable_file(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot read"):
            settings.load(Found(1, str(tmp_path)), str(tmp_path), never)


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("lib")
    return folder, tenants.make_tenant(str(folder))


class TestProtected:
    def sealed(self, tenant: tuple[Path, str], clear: bytes, thumb: str | None = None) -> str:
        folder, name = tenant
        text = tenants.encrypt(str(folder), name, clear)
        return handler_form(protectedSettings=text, protectedSettingsCertThumbprint=thumb or name)

    def test_round_trip(self, tenant: tuple[Path, str]) -> None:
        folder, name = tenant
        got = load(folder, self.sealed(tenant, json.dumps({"k": SECRET, "é": "ü"}).encode()), decrypt_cms)
        assert got.protected == {"k": SECRET, "é": "ü"}
        assert got.key == str(folder / f"{name}.prv")
        assert SECRET not in repr(got)

    def test_thumbprint_in_lower_case_finds_the_files(self, tenant: tuple[Path, str]) -> None:
        folder, name = tenant
        got = load(folder, self.sealed(tenant, b'{"k": 1}', name.lower()), decrypt_cms)
        assert got.protected == {"k": 1}

    @pytest.mark.parametrize("clear", [b"{not json", b'"a string"', b"[1]", b"\xff\xff", b"null"])
    def test_clear_text_that_is_no_object(self, tenant: tuple[Path, str], clear: bytes) -> None:
        with pytest.raises(SettingsError, match="decrypts to"):
            load(tenant[0], self.sealed(tenant, clear), decrypt_cms)

    def test_secret_never_in_the_message(self, tenant: tuple[Path, str]) -> None:
        with pytest.raises(SettingsError) as caught:
            load(tenant[0], self.sealed(tenant, f'{{"k": {SECRET}}}'.encode()), decrypt_cms)
        assert SECRET not in str(caught.value)

    def test_not_base64(self, tenant: tuple[Path, str]) -> None:
        content = handler_form(protectedSettings="*" * 8, protectedSettingsCertThumbprint=tenant[1])
        with pytest.raises(SettingsError, match="not base64"):
            load(tenant[0], content, decrypt_cms)

    def test_line_breaks_in_base64_are_fine(self, tenant: tuple[Path, str]) -> None:
        text = tenants.encrypt(str(tenant[0]), tenant[1], b'{"k": 1}')
        broken = "\r\n".join(text[i : i + 64] for i in range(0, len(text), 64))
        content = handler_form(protectedSettings=broken, protectedSettingsCertThumbprint=tenant[1])
        assert load(tenant[0], content, decrypt_cms).protected == {"k": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["runtimeSettings", "handlerSettings", "publicSettings", "protectedSettings", "x"]),
            children,
        )
    ),
)


def outcome(folder: Path, content: str | bytes) -> tuple[settings.Settings | None, str]:
    try:
        return load(folder, content, lambda message, cert, key: message), ""
    except SettingsError as error:
        return None, str(error)


@given(JSON)
def test_any_json_is_settings_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    got, said = outcome(folder, json.dumps(value))
    if got is None:
        assert str(folder) in said
        assert "\n" not in said
    else:
        assert got.public is None or isinstance(got.public, dict)


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    got, said = outcome(tmp_path_factory.getbasetemp(), data)
    assert (got is None) == bool(said)


def test_base64_of_random_bytes_reaches_decrypt(tmp_path: Path) -> None:
    (tmp_path / f"{THUMB}.prv").write_text("key")
    seen: list[tuple[bytes, str | None]] = []

    def decrypt(message: bytes, cert: str | None, key: str) -> bytes:
        seen.append((message, cert))
        return b"{}"

    sealed = base64.b64encode(b"\0\1\2").decode()
    got = load(tmp_path, handler_form(protectedSettings=sealed, protectedSettingsCertThumbprint=THUMB), decrypt)
    assert got.protected == {}
    assert seen == [(b"\0\1\2", None)]
