"""Settings files as text and in the forms in which people keep them."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.config import jsontext, settings_file
from extension.config.lad23_keys import PROTECTED_KEYS
from extension.config.problems import Problems
from extension.config.values import PUBLIC

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
PROTECTED = {"storageAccountName": "acct", "storageAccountKey": "k"}
EXTENSION = {"publisher": "Microsoft.Azure.Diagnostics", "type": "LinuxDiagnostic"}


def parsed(text: str | bytes) -> tuple[object, list[str]]:
    problems = Problems()
    value = jsontext.parse(text.encode() if isinstance(text, str) else text, "$", problems)
    assert {p.severity for p in problems} <= {"warning"}
    return value, [p.path for p in problems]


@given(VALUES, st.sampled_from(["utf-8", "utf-8-sig"]))
def test_json_is_read_as_it_was_written(value: object, encoding: str) -> None:
    assert parsed(json.dumps(value).encode(encoding)) == (value, [])


@pytest.mark.parametrize(
    ("text", "value", "paths"),
    [
        ('{"a": 1, "a": 2}', {"a": 2}, ["$.a"]),
        ('{"a": 1, "a": 2, "a": 3}', {"a": 3}, ["$.a"]),
        ('[{"b": {"c d": 1, "c d": 2}}]', [{"b": {"c d": 2}}], ["$[0].b['c d']"]),
        ('{"x": {"a": 1, "a": 2}, "x": {"a": 3}}', {"x": {"a": 3}}, ["$.x"]),
        ('{"a": {"a": 1}}', {"a": {"a": 1}}, []),
    ],
)
def test_keys_that_stand_twice_are_named(text: str, value: object, paths: list[str]) -> None:
    assert parsed(text) == (value, paths)


@pytest.mark.parametrize(
    ("data", "message", "where"),
    [
        (b"", "is not JSON", " line 1 column 1"),
        (b'{\n "a" 1}', "is not JSON", " line 2 column 6"),
        (b'{"a": NaN}', "NaN is no JSON value", ""),
        (b'{"a": -Infinity}', "-Infinity is no JSON value", ""),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number of 5000 digits", ""),
        (b"[" * 100_000, "is not JSON", None),
        (b"[" * 100_000 + b"]" * 100_000, "nests more than", ""),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "nests more than", ""),
        (b"\xff", "is not UTF-8 (byte 0)", ""),
        ('{"a": 1}'.encode("utf-16"), "is UTF-16", ""),
        (b"{}x", "is not JSON", " line 1 column 3"),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_what_is_no_settings_text(data: bytes, message: str, where: str | None) -> None:
    with pytest.raises(jsontext.JsonError) as refused:
        parsed(data)
    assert message in str(refused.value)
    assert refused.value.cure
    assert where is None or refused.value.where == where


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(jsontext.JsonError):
        parsed(data)


def test_a_hostile_text_is_bounded() -> None:
    many = b",".join(b'"a":{"b":1,"b":2}' for _ in range(50_000))
    assert parsed(b"{" + many + b"}")[0] == {"a": {"b": 2}}


# --- forms


@pytest.mark.parametrize(
    ("value", "public", "protected"),
    [
        ({"public": {"a": 1}, "protected": PROTECTED}, {"a": 1}, PROTECTED),
        ({"publicSettings": {"a": 1}, "protectedSettings": PROTECTED}, {"a": 1}, PROTECTED),
        ({"settings": {"a": 1}, "protectedSettings": PROTECTED}, {"a": 1}, PROTECTED),
        ({"properties": {"settings": {"a": 1}, "protectedSettings": PROTECTED}}, {"a": 1}, PROTECTED),
        ({"properties": {"settings": {"a": 1}}}, {"a": 1}, None),
        ({"perfCfg": []}, {"perfCfg": []}, None),
        (PROTECTED, None, PROTECTED),
        ({}, {}, None),
        ([1], [1], None),
        ({"settings": '{"a": 1}', "protected_settings": json.dumps(PROTECTED)}, {"a": 1}, PROTECTED),
        (json.dumps({"a": 1}), {"a": 1}, None),
        (json.dumps({"public": {"a": 1}, "protected": PROTECTED}), {"a": 1}, PROTECTED),
        ({"type": "LinuxDiagnostic", "settings": {"a": 1}, "protected_settings": PROTECTED}, {"a": 1}, PROTECTED),
        ({"$schema": "x", "resources": [{}, {"properties": {**EXTENSION, "settings": {"a": 1}}}]}, {"a": 1}, None),
        ({"resources": [{"resources": [{"properties": {**EXTENSION, "settings": {"a": 1}}}]}]}, {"a": 1}, None),
        (
            {"resources": [{"instances": [{"attributes": {**EXTENSION, "settings": '{"a": 1}'}}]}]},
            {"a": 1},
            None,
        ),
        ({"resource": {"azurerm_x": {"lad": {**EXTENSION, "settings": '{"a": 1}'}}}}, {"a": 1}, None),
        (
            {"runtimeSettings": [{"handlerSettings": {"publicSettings": {"a": 1}, "protectedSettings": "MII"}}]},
            {"a": 1},
            None,
        ),
    ],
)
def test_forms(value: object, public: object, protected: object) -> None:
    problems = Problems()
    parts = settings_file.split(value, PROTECTED_KEYS, problems)
    assert not any(p.severity != "note" for p in problems)
    assert (parts.public if parts.has_public else None) == public
    assert (parts.protected if parts.has_protected else None) == protected


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"$schema": "x", "resources": []}, "$"),
        ({"resources": [{"properties": {"type": "Other", "settings": {}}}]}, "$"),
        ({"resources": [{"properties": {**EXTENSION, "settings": {}}}] * 2}, "$"),
        ({"settings": '{"a": 1'}, "$.public"),
        ({"public": {}, "protected_settings": "{'a': 1}"}, "$.protected"),
        ({"runtimeSettings": []}, "$.runtimeSettings[0].handlerSettings"),
        ({"runtimeSettings": [{"handlerSettings": 5}]}, "$.runtimeSettings[0].handlerSettings"),
    ],
)
def test_what_is_no_settings_file(value: object, path: str) -> None:
    problems = Problems()
    settings_file.split(value, PROTECTED_KEYS, problems)
    assert [(p.severity, p.path) for p in problems] == [("error", path)]


@pytest.mark.parametrize(
    ("public", "protected", "wanted"),
    [
        ({"a": 1}, None, ({"a": 1}, {})),
        ({"a": 1}, PROTECTED, ({"a": 1}, PROTECTED)),
        ({"public": {"a": 1}, "protected": PROTECTED}, None, ({"a": 1}, PROTECTED)),
        ({"public": {"a": 1}, "protected": {"x": 1}}, PROTECTED, ({"a": 1}, PROTECTED)),
        ({"a": 1}, {"protected": PROTECTED}, ({"a": 1}, PROTECTED)),
        ("text", None, ("text", {})),
    ],
)
def test_files_given_as_public_and_protected(public: object, protected: object, wanted: object) -> None:
    problems = Problems()
    given = {PUBLIC: public, **({} if protected is None else {"$.protected": protected})}
    assert settings_file.unwrapped(given, problems) == wanted
    assert not list(problems)


@pytest.mark.parametrize(
    ("text", "message", "cure"),
    [
        ("", "there is nothing in it", "give settings"),
        (" \n", "there is nothing in it", "give settings"),
        ("// x\n{}", "a comment", "no comments"),
        ('{"a": 1 /* x */}', "a comment", "no comments"),
        ('{"a": 1,\n}', "a comma before }", "remove that comma"),
        ('{"a": [1, ]}', "a comma before ]", "remove that comma"),
        ("{'a': 1}", "single quotes", "double quotes"),
        ("{\u201ca\u201d: 1}", "typographic", "plain one"),
        ('{"a": True}', "another language", "write true"),
        ('{"a" 1}', "Expecting ':' delimiter", "correct it there"),
    ],
)
def test_the_usual_mistakes_have_their_cure(text: str, message: str, cure: str) -> None:
    with pytest.raises(jsontext.JsonError) as refused:
        parsed(text)
    assert message in str(refused.value)
    assert cure in refused.value.cure


def test_what_stands_beside_the_settings_is_named() -> None:
    problems = Problems()
    settings_file.split({"public": {}, "protected": {}, "perfCfg": []}, PROTECTED_KEYS, problems)
    assert [(p.severity, p.path) for p in problems] == [("warning", "$.perfCfg")]
