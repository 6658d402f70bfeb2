"""Reading an mdsd document and resolving it into a plan: CPU time per query at growing sizes.

The time per query is to stay the same: ratios are to the smallest document.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timezone

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from extension.config import document
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.plan import Options

SIZES = (500, 1000, 2000, 4000)
ROUNDS = 3
AIM = 1.5
"""What noise may add to a ratio that is to stay at 1."""
SAS = "sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluwr&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
COLUMNS = ("AvailableMemory", "PercentAvailableMemory", "UsedMemory", "PercentUsedMemory")


def written(queries: int) -> bytes:
    """A document with so many queries of four counters, each with its aggregation."""
    maps = "".join(f'<MapName name="{c}" scaleUp="1048576">\\Memory\\{c}</MapName>\n' for c in COLUMNS)
    asked, derived = [], []
    for number in range(queries):
        asked.append(
            f'<OMIQuery eventName="q{number}" omiNamespace="root/scx" sampleRateInSeconds="15" storeType="local"'
            f" cqlQuery=\"SELECT {', '.join(COLUMNS)} FROM SCX_MemoryStatisticalInformation WHERE Name='{number}'\">\n"
            f'<Unpivot columnName="CounterName" columnValue="Value" columns="{",".join(COLUMNS)}">\n{maps}'
            "</Unpivot></OMIQuery>\n"
        )
        derived.append(
            f'<DerivedEvent eventName="WADMetricsPT1MP10DV2S" source="q{number}" duration="PT1M" isFullName="true">\n'
            '<LADQuery columnName="CounterName" columnValue="Value" partitionKey="p" instanceID=""/></DerivedEvent>\n'
        )
    return (
        '<MonitoringManagement version="1.0"><Accounts>'
        f'<SharedAccessSignature moniker="m" account="acct" key="{SAS}" isDefault="true"/></Accounts>\n'
        '<Management eventVolume="Medium"/><Events><OMI>\n'
        f"{''.join(asked)}</OMI><DerivedEvents>\n{''.join(derived)}</DerivedEvents></Events></MonitoringManagement>\n"
    ).encode()


def measured(xml: bytes) -> float:
    """CPU seconds of one reading, the best of some."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun, problems = time.process_time(), Problems()
        found = document.read(xml, "bench.xml", problems)
        assert found is not None
        now = datetime.now(timezone.utc)
        plan = resolve(found, Options(), "host", environ={}, decrypt=lambda text, _: text, now=now, problems=problems)
        assert plan is not None, [p.render() for p in problems]
        best = min(best, time.process_time() - begun)
    return best


def main() -> int:
    """Print one line per size; 1 if a query costs more in a large document."""
    first = worst = 0.0
    print("queries    bytes  CPU ms  µs/query  ratio")
    for size in SIZES:
        xml = written(size)
        each = measured(xml) / size
        first = first or each
        worst = max(worst, each / first)
        print(f"{size:7} {len(xml):8} {each * size * 1e3:7.1f} {each * 1e6:9.1f} {each / first:6.2f}")
    print(f"aim: linear, ratios of at most {AIM:g}: {'met' if worst <= AIM else 'missed'} ({worst:.2f})")
    return 0 if worst <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
