"""What a document puts into keys and the storage service refuses is warned of before a row is lost to it."""

from __future__ import annotations

import pytest

from extension.config import document_check
from extension.config.problems import Problems
from extension.plan import Account
from tests.daemon_bed import PARTITION_KEY, document

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2traw=="


def _warnings(text: str) -> list[str]:
    problems = Problems()
    assert document_check.check(text.encode(), "x.xml", problems) == []
    return [f"{p.severity}: {p.message}" for p in problems]


def _document() -> str:
    return document(Account("m", "acct", "key", KEY, "file:///tmp/t.db"), rate=15, period=60)


def test_keys_as_lad_makes_them_are_fine() -> None:
    assert _warnings(_document()) == []
    assert _warnings(_document().replace(">bed<", ">" + "é" * 512 + "<")) == []


@pytest.mark.parametrize("character", ["/", "\\", "#", "?", "&#9;", "\x7f", "\x85"])
def test_a_forbidden_character_is_named(character: str) -> None:
    for old, new, what in (
        (">bed<", f">a{character}b<", "the value of IdentityComponent Host"),
        (PARTITION_KEY, f"a{character}b", "partitionKey"),
        ('instanceID=""', f'instanceID="a{character}b"', "instanceID"),
    ):
        (found,) = set(_warnings(_document().replace(old, new)))
        assert found.startswith(f"warning: {what} holds ")
        assert found.endswith("which no key may: the storage service refuses every row with it")


def test_a_key_that_is_too_long_is_named() -> None:
    (found,) = set(_warnings(_document().replace(PARTITION_KEY, "😀" * 257)))
    assert found.startswith("warning: partitionKey is longer than the 512 characters of a key")
