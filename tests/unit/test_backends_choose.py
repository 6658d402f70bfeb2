"""Which source is taken, and what the collector gets of it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from extension.plan import Options, Plan, Query, Target
from extension.source import open_source, settings
from omi_queries.backends.choose import Settings, open_backend, with_fallback
from omi_queries.backends.fallback import FallbackBackend
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.types import QueryError


def _plan(**options: object) -> Plan:
    text = "SELECT PercentIdleTime FROM SCX_ProcessorStatisticalInformation"
    query = Query("root/scx", text, 4, Target("table", "E"))
    return Plan(queries=(query,), options=Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "endpoint", "primary"),
    [("auto", "", ""), ("procfs", "http://127.0.0.1:9", ""), ("auto", "http://127.0.0.1:9", "cimxml"),
     ("cimxml", "http://127.0.0.1:9", "cimxml"), ("omicli", "", "omicli")],
)  # fmt: skip
def test_the_choice(tmp_path: Path, name: str, endpoint: str, primary: str) -> None:
    backend = with_fallback(name, Settings(endpoint=endpoint, omicli=str(tmp_path / "none")))
    if primary:
        assert isinstance(backend, FallbackBackend)
        assert backend.name == primary
    else:
        assert isinstance(backend, ProcfsBackend)
    backend.close()


@pytest.mark.parametrize(("name", "said"), [("wbem", "unknown source 'wbem'"), ("cimxml", "needs the address")])
def test_a_choice_that_cannot_be(name: str, said: str) -> None:
    for opening in (open_backend, with_fallback):
        with pytest.raises(QueryError, match=said):
            opening(name, Settings())
    with pytest.raises(QueryError, match=said):
        open_source(_plan(omi_backend=name), lambda _level, _text: None)


def test_the_collector_gets_its_share_and_its_wakes() -> None:
    plan = _plan(omi_endpoint="http://127.0.0.1:9", omi_user="u", omi_password="p", omi_ca_file="/c")
    chosen = settings(plan)
    assert (chosen.deadline_s, chosen.endpoint, chosen.user, chosen.password) == (2.0, "http://127.0.0.1:9", "u", "p")
    assert chosen.worker[-1] == "omi_queries.backends.cimxml_worker"
    opened = open_source(plan, lambda _level, _text: None)
    assert opened.attention_in() == 0.0  # it has to be found out whether the source answers
    opened.backend.close()
    opened = open_source(_plan(), lambda _level, _text: None)
    assert opened.attention_in() == math.inf
    opened.attend()
    opened.backend.close()


def test_the_sampler_of_scx_is_woken_for() -> None:
    opened = open_source(_plan(rate_window="scx"), lambda _level, _text: None)
    stream = opened.backend.open("root/scx", "SELECT * FROM SCX_ProcessorStatisticalInformation")
    stream.prime()
    stream.read(1.0)
    assert 0 < opened.attention_in() <= 60
    opened.attend()
    opened.backend.close()


def test_proc_alone_loads_nothing_of_the_others() -> None:
    code = (
        "import sys; import extension.collector; from extension.plan import Plan;"
        "from extension.source import open_source;"
        "open_source(Plan(), print).backend.close();"
        "print([m for m in sys.modules if m in ('pywbem', 'requests', 'subprocess', 'urllib.parse', 'lxml') or"
        " m.startswith('omi_queries.backends.') and m.rpartition('.')[2] in"
        " ('cimxml', 'omicli', 'fallback', 'child', 'direct', 'accept')])"
    )
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60,
                           cwd=Path(__file__).parents[2])  # fmt: skip
    assert found.stdout.strip() == "[]"
