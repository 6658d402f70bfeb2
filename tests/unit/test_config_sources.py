"""Settings and options that say where values come from."""

from __future__ import annotations

import json

import pytest

from extension.config import options, sources
from extension.config.problems import Problems
from extension.plan import Options, Plan, from_json


def _read(public: dict[str, object], protected: dict[str, object]) -> tuple[dict[str, object], list[tuple[str, str]]]:
    problems = Problems()
    found = sources.options(public, protected, problems)
    return found, [(p.severity, p.path) for p in problems]


def test_nothing_named_is_nothing_written() -> None:
    assert _read({}, {}) == ({}, [])


def test_all_of_them() -> None:
    public: dict[str, object] = {
        "omiBackend": "cimxml", "omiEndpoint": "https://cim:5989", "omiCaFile": "/etc/ca.pem", "rateWindow": "scx",
    }  # fmt: skip
    found, problems = _read(public, {"omiUser": "u", "omiPassword": "p"})
    assert problems == []
    assert found == {
        "omi_backend": "cimxml", "omi_endpoint": "https://cim:5989", "omi_ca_file": "/etc/ca.pem",
        "rate_window": "scx", "omi_user": "u", "omi_password": "p",
    }  # fmt: skip
    later = Problems()
    read = options.read(found, "options.json", later)
    assert list(later) == []
    assert read.omi_password == "p"
    assert "omi_password" not in repr(read)
    assert from_json(json.loads(json.dumps(Plan(options=read).to_json()))).options == read


@pytest.mark.parametrize(
    ("public", "protected", "severity", "path"),
    [
        ({"omiBackend": "cim"}, {}, "error", "$.public.omiBackend"),
        ({"omiBackend": 5}, {}, "error", "$.public.omiBackend"),
        ({"omiBackend": "cimxml"}, {}, "error", "$.public.omiBackend"),
        ({"rateWindow": "SCX"}, {}, "error", "$.public.rateWindow"),
        ({"omiEndpoint": "cim:5988"}, {}, "error", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http+unix:///x"}, {}, "error", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http://u:geheim@cim"}, {}, "error", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http://cim/cimom"}, {}, "error", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http://cim:99999"}, {}, "error", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http://cim"}, {"omiUser": "u", "omiPassword": "geheim"}, "warning", "$.public.omiEndpoint"),
        ({"omiEndpoint": "http://127.0.0.1", "omiBackend": "procfs"}, {}, "warning", "$.public.omiEndpoint"),
        ({}, {"omiPassword": "geheim"}, "error", "$.protected.omiPassword"),
        ({"omiCaFile": "ca.pem"}, {}, "error", "$.public.omiCaFile"),
        ({"omiEndpoint": "https://cim", "omiNoVerification": "true"}, {}, "warning", "$.public.omiNoVerification"),
    ],
)
def test_mistakes_are_named(public: dict[str, object], protected: dict[str, object], severity: str, path: str) -> None:
    problems = Problems()
    sources.options(public, protected, problems)
    [found] = problems
    assert (found.severity, found.path) == (severity, path)
    assert "geheim" not in found.render()


def test_a_password_for_this_machine_may_go_in_clear() -> None:
    for url in ("http://127.0.0.1:5988", "http://localhost", "http://[::1]:5988"):
        assert _read({"omiEndpoint": url}, {"omiUser": "u", "omiPassword": "p"})[1] == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"omi_backend": "x"}, "options.json.omi_backend"),
        ({"omi_endpoint": "x"}, "options.json.omi_endpoint"),
        ({"omi_no_verification": "true"}, "options.json.omi_no_verification"),
        ({"omicli_path": ""}, "options.json.omicli_path"),
        ({"rate_window": "x"}, "options.json.rate_window"),
    ],
)
def test_options_are_checked_too(value: dict[str, object], path: str) -> None:
    problems = Problems()
    options.read(value, "options.json", problems)
    assert [(p.severity, p.path) for p in problems] == [("error", path)]


def test_an_empty_text_is_none_given() -> None:
    problems = Problems()
    assert options.read({"omi_endpoint": "", "omi_user": ""}, "o", problems) == Options()
    assert list(problems) == []
