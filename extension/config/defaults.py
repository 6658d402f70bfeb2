"""The settings that people start from: all 48 builtin counters, both periods, all of syslog (spec/user-asks.md)."""

from __future__ import annotations

from extension.config.counters30 import CLASSES, Builtin, CounterClass
from extension.config.syslog_names import FACILITIES

ACCOUNT = "__DIAGNOSTIC_STORAGE_ACCOUNT__"
RESOURCE_ID = "__VM_OR_VMSS_RESOURCE_ID__"
SAS_TOKEN = "__SAS_TOKEN__"  # noqa: S105  # a placeholder
SAMPLE_RATE = 15


def _counter(family: CounterClass, counter: Builtin) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "builtin",
        "class": family.name,
        "counter": counter.key,
        "counterSpecifier": family.specifier(counter),
        "unit": counter.unit,
        "annotation": [{"displayName": counter.display, "locale": "en-us"}],
    }
    return found | ({"condition": family.condition} if family.condition else {})


def public_settings() -> dict[str, object]:
    """Public settings as the portal and the cloud's own tools write them, with their placeholders."""
    return {
        "StorageAccount": ACCOUNT,
        "ladCfg": {
            "diagnosticMonitorConfiguration": {
                "eventVolume": "Medium",
                "metrics": {
                    "resourceId": RESOURCE_ID,
                    "metricAggregation": [{"scheduledTransferPeriod": period} for period in ("PT1H", "PT1M")],
                },
                "performanceCounters": {
                    "performanceCounterConfiguration": [_counter(f, one) for f in CLASSES for one in f.counters]
                },
                "syslogEvents": {"syslogEventConfiguration": dict.fromkeys(FACILITIES, "LOG_DEBUG")},
            },
            "sampleRateInSeconds": SAMPLE_RATE,
        },
    }


def protected_settings() -> dict[str, object]:
    """The protected settings that go with them: the account and an account SAS."""
    return {"storageAccountName": ACCOUNT, "storageAccountSasToken": SAS_TOKEN}
