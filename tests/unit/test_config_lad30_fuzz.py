"""Any JSON value anywhere in LAD 3.0 and 4.x settings: a document or an error, never a traceback or a secret."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.config import defaults, document, hub_url
from extension.config.build import generate
from extension.config.machine import Machine
from extension.config.problems import Problems

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SECRET = "TOPSECRETTOPSECRET"
URL = f"https://ns.servicebus.windows.net/hub?sr=a&sig={SECRET}&se=1893456000&skn=send"
SAS = f"sv=2018-03-28&ss=bt&srt=sco&sp=acluw&se=2031-05-06&sig={SECRET}"
WORDS = st.sampled_from(
    [
        "",
        " ",
        "a",
        "builtin",
        "processor",
        "PT1M",
        "NONE",
        "*",
        "LOG_USER",
        "blobs",
        "hub,blobs",
        "\x00",
        "\ud800",
        "&<>",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def whole() -> dict[str, Any]:
    """Settings that use every feature."""
    public = defaults.public_settings()
    public |= {
        "perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": "T", "sinks": "hub,blobs", "frequency": 60}],
        "fileLogs": [{"file": "/var/log/a", "table": "A", "sinks": "blobs"}],
        "sinksConfig": {"sink": [{"name": "AzMonSink", "type": "AzMonSink"}]},
    }
    text = json.dumps({"public": public, "protected": {}}).replace(defaults.RESOURCE_ID, "/subscriptions/1")
    found: dict[str, Any] = json.loads(text)
    monitor = found["public"]["ladCfg"]["diagnosticMonitorConfiguration"]
    monitor["performanceCounters"]["sinks"] = "blobs,hub"
    monitor["performanceCounters"]["performanceCounterConfiguration"][2:] = []
    monitor["syslogEvents"] = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "hub"}
    found["protected"] = {
        "storageAccountName": "acct0",
        "storageAccountSasToken": SAS,
        "sinksConfig": {
            "sink": [{"name": "blobs", "type": "JsonBlob"}, {"name": "hub", "type": "EventHub", "sasURL": URL}]
        },
    }
    return found


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Where a value can be replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, item in inner for p in places(item, (*path, key)))]


PLACES = [path for path in places(whole()) if path]


def replaced(path: tuple[object, ...], value: object, drop: bool) -> dict[str, Any]:
    found = copy.deepcopy(whole())
    holder: Any = found
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return found


@given(st.sampled_from(PLACES), VALUES, st.booleans(), st.sampled_from([None, "3.0", "4.0"]))
@settings(deadline=None, max_examples=300)
def test_any_value_in_any_place(path: tuple[object, ...], value: object, drop: bool, lad: str | None) -> None:
    given_settings = replaced(path, value, drop)
    made = generate(
        given_settings.get("public"), given_settings.get("protected"), lad=lad, machine=Machine("u", ""), now=NOW
    )
    for problem in made.problems:
        assert "\n" not in problem.render()
        assert SECRET not in json.dumps(problem.to_json())
    if made.xml is None:
        assert any(p.severity == "error" for p in made.problems)
        return
    problems = Problems()
    assert document.read(made.xml, "doc", problems) is not None
    if made.ok:
        assert not problems.failed, [p.render() for p in problems]


def test_the_settings_that_the_values_go_into_are_fine() -> None:
    whole_settings = whole()
    made = generate(whole_settings["public"], whole_settings["protected"], lad="3.0", machine=Machine("u", ""), now=NOW)
    assert made.ok, [p.render() for p in made.problems if p.severity == "error"]


@given(st.text() | st.builds(lambda a, b: f"https://{a}?{b}", st.text(), st.text()))
def test_any_text_as_the_url_of_a_hub(url: str) -> None:
    problems = Problems()
    hub_url.judge(url + f"&sig={SECRET}", "$.x", NOW, problems)
    assert all(SECRET not in p.render() for p in problems)


DRAWN = base64.b64encode(hashlib.sha256(b"drawn").digest()).decode()
FORMS = (
    DRAWN, f"x{DRAWN}", quote(DRAWN, safe=""), f"sig={DRAWN}", json.dumps({"key": DRAWN}),
    SAS.replace(SECRET, quote(DRAWN, safe="")), f"AccountName=a;AccountKey={DRAWN};EndpointSuffix=b",
)  # fmt: skip


@pytest.mark.parametrize("lad", [None, "2.3", "4.0"])
@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_a_secret_in_a_wrong_place_is_not_repeated(form: str, lad: str | None) -> None:
    parts = {text[i : i + 12] for text in (DRAWN, quote(DRAWN, safe="")) for i in range(len(text) - 11)}
    for path in PLACES:
        if len(path) < 2:
            continue
        for drop in (False, True):
            changed = replaced(path, form, drop)
            if drop:  # as the name of a setting
                changed["public"][form] = changed["protected"][form] = 1
            made = generate(changed["public"], changed["protected"], lad=lad, machine=Machine("u", ""), now=NOW)
            told = "".join(p.render() + json.dumps(p.to_json()) for p in made.problems)
            assert not [part for part in parts if part in told], path
