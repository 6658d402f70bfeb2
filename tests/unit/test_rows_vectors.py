"""Every vector and worked example of spec/mdsd.md 4 that concerns names, times, keys and hashes."""

import pytest

from extension.rows import keys, names, ticks

IDENT = "c9c8552dc3a1421da8ecc0c284082a39___vm-ref-01"


@pytest.mark.parametrize(
    ("unix", "suffix", "asc", "desc"),
    [
        (0, "19691228", "0621355968000000000", "2534023007999999999"),
        (1417464000, "20141122", "0635530608000000000", "2519848367999999999"),
        (1490643900, "20170321", "0636262407000000000", "2519116568999999999"),
        (1709164800, "20240223", "0638447616000000000", "2516931359999999999"),
        (1795046399, "20261109", "0639306431990000000", "2516072544009999999"),
        (1795046400, "20261119", "0639306432000000000", "2516072543999999999"),
        (1795252680, "20261119", "0639308494800000000", "2516070481199999999"),
    ],
)
def test_times(unix: int, suffix: str, asc: str, desc: str) -> None:
    assert ticks.ten_day_suffix(unix) == suffix
    assert ticks.ascending(unix) == asc
    assert ticks.descending(unix) == desc


def test_ten_day_suffix_of_published_tables() -> None:
    assert ticks.ten_day_suffix(1565902800) == "20190808"  # 2019-08-15T21:00:00Z
    assert ticks.descending(1565902800) == "2518363979999999999"


@pytest.mark.parametrize(
    ("ident", "value", "numbers"),
    [
        ("", 0, (0, 0, 0)),
        ("h", 104, (0, 4, 4)),
        ("vm-ref-01", 424943707589975, (0, 5, 75)),
        (IDENT, 8480701420061139078, (0, 8, 78)),
        ("___myhost", 342955611148021, (0, 1, 21)),
    ],
)
def test_easy_hash(ident: str, value: int, numbers: tuple[int, int, int]) -> None:
    assert keys.easy_hash(ident) == value
    assert tuple(int(keys.partition_number(ident, p)) for p in (1, 10, 100)) == numbers


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("a_b", "a:005Fb"),
        (
            "\\Processor Information(_Total)\\% Processor Time",
            ":005CProcessor:0020Information:0028:005FTotal:0029:005C:0025:0020Processor:0020Time",
        ),
        ("café", "caf:FFC3:FFA9"),
        ("n" * 256, "n" * 256),
        ("n" * 257, "n" * 239 + "|fdb7fef78c4f0eb8"),
        ("n" * 300, "n" * 239 + "|3ef0ffda21259f49"),
        ("/builtin/memory/usedmemory", ":002Fbuiltin:002Fmemory:002Fusedmemory"),
        ("", ""),
    ],
)
def test_metric_names(name: str, encoded: str) -> None:
    assert keys.encode_metric(name) == encoded


def test_metric_name_with_a_cut_escape() -> None:
    assert keys.encode_metric("é:" + "x" * 280).endswith("|79e7fe9f12bf7384")
    slashes = keys.encode_metric("/" * 52)
    assert len(slashes) == 256
    assert slashes.endswith("|9fabe9be610c6046")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", 0),
        (b"a", 0xFCF7BF495A74BA06),
        (b"abcdefgh", 0xFDEEEFB5F24CB274),
        (b"abcdefghijk", 0xEF2D7BCC2D1E7904),
    ],
)
def test_name_hash(text: bytes, value: int) -> None:
    assert keys.name_hash(text) == value


def test_metric_row_keys_example_c() -> None:
    metric = ":005CMemory:005CAvailableMemory"
    assert keys.metric_row_keys("\\Memory\\AvailableMemory", 1795252680) == (
        f"2516070481199999999__{metric}",
        f"{metric}__2516070481199999999",
    )
    first, second = keys.metric_row_keys("\\NetworkInterface\\BytesTransmitted", 1795252680, "uuid-1")
    assert first == "2516070481199999999__:005CNetworkInterface:005CBytesTransmitted__uuid-1"
    assert second == ":005CNetworkInterface:005CBytesTransmitted__2516070481199999999__uuid-1"
    assert keys.metric_row_keys("", 1795252680) == ("2516070481199999999__", "__2516070481199999999")


def test_default_keys_example_a() -> None:
    n = keys.partition_number(IDENT, 10)
    base = ticks.floor_to(1795252675638998, 30)
    assert keys.default_partition_key(n, base) == "0000000000000000008___0639308494500000000"
    index = keys.row_index(keys.first_row_index(1795252675, 1))
    assert index == "0018403363632709632"
    assert keys.default_row_key(IDENT, index) == f"{IDENT}___0018403363632709632"


def test_default_partition_key_example_b() -> None:
    n = keys.partition_number(IDENT, 10)
    received = 1795252675600461
    assert keys.default_partition_key(n, ticks.floor_to(received, 10)).endswith("___0639308494700000000")
    assert keys.default_partition_key(n, ticks.floor_to(received, 60)).endswith("___0639308494200000000")


def _table(event: str, *, full: bool = False, per_nday: bool = True, at: int = 1795252680) -> str:
    return names.table_name(event, namespace="", version=2, full_name=full, per_nday=per_nday, now=at)


def test_table_names() -> None:
    assert _table("LinuxMemory", per_nday=False) == "LinuxMemoryVer2v0"
    assert _table("LinuxCpuNDay") == "LinuxCpuNDayVer2v020261119"
    assert _table("WADMetricsPT1MP10DV2S", full=True) == "WADMetricsPT1MP10DV2S20261119"
    assert _table("WADMetricsPT1HP10DV2S", full=True, at=1490643900) == "WADMetricsPT1HP10DV2S20170321"
    assert _table("Exact", full=True, per_nday=False) == "Exact"
    long = "ThisIsAVeryLongEventNameThatMustBeHashedBecauseItExceedsSixtyThree"
    assert _table(long, per_nday=False) == "Taccfe3ce099db4ece67d4c0fab778145"
    with_namespace = names.table_name("E", namespace="Ns", version=7, full_name=False, per_nday=False, now=0)
    assert with_namespace == "NsEVer7v0"


def test_table_name_limits() -> None:
    assert _table("x" * 48) == "x" * 48 + "Ver2v020261119"  # 54 + 8
    assert _table("x" * 50).startswith("T")  # 56 > 55
    assert _table("x" * 57, per_nday=False) == "x" * 57 + "Ver2v0"  # 63
    assert _table("x" * 58, per_nday=False).startswith("T")
    assert _table("é" * 28, per_nday=False) == "é" * 28 + "Ver2v0"  # bytes count: 62
    assert _table("é" * 29, per_nday=False).startswith("T")


def test_iso() -> None:
    assert ticks.iso(1795252675638998) == "2026-11-21T09:17:55.638998Z"
    assert ticks.iso(1795252680 * 10**6) == "2026-11-21T09:18:00Z"


def test_hour_window_example_e() -> None:
    start = ticks.floor_to(1490643900 * 10**6, 3600)
    assert keys.metric_row_keys("M", start)[0] == "2519116595999999999__M"
