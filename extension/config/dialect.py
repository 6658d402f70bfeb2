"""Which generation of LAD a settings file was written for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from extension.config.problems import Problems
from extension.config.values import PROTECTED, PUBLIC

KNOWN = ("2.3", "3.0", "4.0")
_COUNTER_KEYS = ("type", "counter", "sampleRate", "sinks")


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def signs(public: Mapping[str, object], protected: Mapping[str, object]) -> Iterator[str]:
    """Paths of what only LAD 3.0 and later know, in the order of weight."""
    for key in ("sinksConfig", "disableStorageAccount"):
        if key in protected:
            yield f"{PROTECTED}.{key}"
    lad_cfg = _object(public.get("ladCfg"))
    path = f"{PUBLIC}.ladCfg"
    if "sampleRateInSeconds" in lad_cfg:
        yield f"{path}.sampleRateInSeconds"
    monitor = _object(lad_cfg.get("diagnosticMonitorConfiguration"))
    path += ".diagnosticMonitorConfiguration"
    if "syslogEvents" in monitor:
        yield f"{path}.syslogEvents"
    if "metricAggregation" in _object(monitor.get("metrics")):
        yield f"{path}.metrics.metricAggregation"
    performance = _object(monitor.get("performanceCounters"))
    if "sinks" in performance:
        yield f"{path}.performanceCounters.sinks"
    for i, counter in enumerate(_list(performance.get("performanceCounterConfiguration"))):
        for key in _COUNTER_KEYS:
            if key in _object(counter):
                yield f"{path}.performanceCounters.performanceCounterConfiguration[{i}].{key}"
    for key in ("fileLogs", "sinksConfig", "traceFlags"):
        if key in public:
            yield f"{PUBLIC}.{key}"
    for i, query in enumerate(_list(public.get("perfCfg"))):
        for key in ("sinks", "frequency"):
            if key in _object(query):
                yield f"{PUBLIC}.perfCfg[{i}].{key}"


def _telegraf(public: Mapping[str, object]) -> bool:
    """Whether the settings say something that only LAD 4.x understood: AzMonSink, or a counter by displayName alone."""
    from extension.config import lad40

    for sink in _list(_object(public.get("sinksConfig")).get("sink")):
        if lad40.AZURE_MONITOR in (_object(sink).get("name"), _object(sink).get("type")):
            return True
    monitor = _object(_object(public.get("ladCfg")).get("diagnosticMonitorConfiguration"))
    listed = _list(_object(monitor.get("performanceCounters")).get("performanceCounterConfiguration"))
    counters = [_object(counter) for counter in listed]
    return any(lad40.by_name(one) is None and lad40.by_display(one) is not None for one in counters)


def told(public: Mapping[str, object], protected: Mapping[str, object], lad: str | None, problems: Problems) -> str:
    """The dialect: ``lad`` if given (one that is not known is an error), else told from the settings."""
    if lad is not None and lad not in KNOWN:
        problems.error("$", f"unknown dialect {lad}", f"choose one of {', '.join(KNOWN)}", lad)
        return lad
    first = next(signs(public, protected), None)
    if lad is None:
        return "2.3" if first is None else ("4.0" if _telegraf(public) else "3.0")
    if lad == "2.3" and first is not None:
        problems.warning(
            first, "belongs to LAD 3.0 and later, LAD 2.3 does not read it", "remove it, or choose LAD 3.0"
        )
    return lad
