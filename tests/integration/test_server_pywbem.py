"""The running service as pywbem sees it, over HTTP and HTTPS, on the live machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pywbem  # type: ignore[import-untyped]

from omi_queries import classes
from tests.server_bed import Server, running

MEMORY = "SCX_MemoryStatisticalInformation"
PROCESSOR = "SCX_ProcessorStatisticalInformation"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), tls=True) as one:
        yield one


def connect(server: Server, secure: bool, password: str = "secret", **options: object) -> pywbem.WBEMConnection:
    url = f"https://127.0.0.1:{server.tls_port}" if secure else f"http://127.0.0.1:{server.port}"
    if secure:
        options.setdefault("ca_certs", str(server.folder / "server.pem"))
    connection = pywbem.WBEMConnection(url, ("tester", password), default_namespace="root/scx", **options)
    connection.session.trust_env = False
    return connection


@pytest.fixture(params=[False, True], ids=["http", "https"])
def wbem(request: pytest.FixtureRequest, server: Server) -> Iterator[pywbem.WBEMConnection]:
    with connect(server, request.param) as connection:
        yield connection


def status(info: pytest.ExceptionInfo[pywbem.CIMError]) -> int:
    return int(info.value.status_code)


def test_every_class_with_instances_can_be_enumerated(wbem: pywbem.WBEMConnection) -> None:
    for namespace in classes.namespaces():
        for name in classes.names(namespace):
            one = classes.get(name)
            if not one.served or one.methods_only:
                continue
            names = wbem.EnumerateInstanceNames(name, namespace=namespace)
            instances = wbem.EnumerateInstances(name, namespace=namespace)
            for instance in instances:
                assert set(instance.keys()) <= set(one.properties), name
                for key in (p.name for p in one.properties.values() if p.key):
                    assert instance[key] is not None, (name, key)
                for prop in instance.properties.values():
                    kind = one.types[prop.name]
                    assert (prop.type, bool(prop.is_array)) == (kind.removesuffix("[]"), kind.endswith("[]")), prop.name
            if not name.startswith("SCX_UnixProcess"):
                assert {str(i.path.keybindings) for i in instances} == {str(n.keybindings) for n in names}, name


def test_enumeration_of_bases_returns_subclasses(wbem: pywbem.WBEMConnection) -> None:
    for base in ("SCX_StatisticalInformation", "CIM_StatisticalInformation"):
        found = {instance.classname for instance in wbem.EnumerateInstances(base)}
        assert {MEMORY, PROCESSOR} <= found
    shallow = wbem.EnumerateInstances("SCX_StatisticalInformation", DeepInheritance=False)
    assert all("PercentUsedMemory" not in instance and "Name" in instance for instance in shallow)


def test_property_list(wbem: pywbem.WBEMConnection) -> None:
    one = wbem.EnumerateInstances(MEMORY, PropertyList=["name", "USEDMEMORY", "NoSuch"])[0]
    assert sorted(one.keys()) == ["Name", "UsedMemory"]
    assert one["UsedMemory"] > 0
    assert not list(wbem.EnumerateInstances(MEMORY, PropertyList=[])[0].keys())


def test_get_instance(wbem: pywbem.WBEMConnection) -> None:
    path = wbem.EnumerateInstanceNames(PROCESSOR)[-1]
    assert wbem.GetInstance(path)["Name"] == path["Name"]
    path["Name"] = "none of this name"
    with pytest.raises(pywbem.CIMError) as info:
        wbem.GetInstance(path)
    assert status(info) == 6
    with pytest.raises(pywbem.CIMError) as info:
        wbem.GetInstance(pywbem.CIMInstanceName(MEMORY, {"Nome": "Memory"}, namespace="root/scx"))
    assert status(info) == 6
    for name, code in (("SCX_LogFile", 7), ("CIM_LogicalFile", 6), ("SCX_StatisticalInformation", 6)):
        with pytest.raises(pywbem.CIMError) as info:
            wbem.GetInstance(pywbem.CIMInstanceName(name, {"Name": "Memory"}, namespace="root/scx"))
        assert status(info) == code


def test_every_class_can_be_got(wbem: pywbem.WBEMConnection) -> None:
    for namespace in classes.namespaces():
        names = wbem.EnumerateClassNames(namespace=namespace, DeepInheritance=True)
        assert sorted(names) == sorted(classes.names(namespace))
        whole = wbem.EnumerateClasses(namespace=namespace, DeepInheritance=True, LocalOnly=False)
        assert sorted(one.classname for one in whole) == sorted(names)
        for name in names:
            texts = wbem.GetClass(name, namespace=namespace, LocalOnly=False).properties.values()
            assert all(p.qualifiers["Description"].value for p in texts), name
            got = wbem.GetClass(name, namespace=namespace, LocalOnly=False, IncludeClassOrigin=True)
            assert list(got.properties) == list(classes.get(name).properties), name
            assert [p.name for p in got.properties.values() if "Key" in p.qualifiers] == classes.get(name).keys()
            local = wbem.GetClass(name, namespace=namespace, LocalOnly=True, IncludeQualifiers=False)
            assert set(local.properties) <= set(got.properties)
    top = wbem.EnumerateClassNames(namespace="root/scx")
    assert all(not classes.get(name).base for name in top)


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("WQL", f'SELECT * FROM {PROCESSOR} WHERE Name="_Total"', ["_Total"]),
        ("WQL", f"SELECT Name FROM {PROCESSOR} WHERE Name='_TOTAL'", ["_Total"]),
        ("WQL", f"SELECT Name FROM {PROCESSOR} WHERE Name LIKE '_T%'", ["_Total"]),
        ("DMTF:CQL", f"SELECT Name,PercentIdleTime FROM {PROCESSOR} WHERE Name='_Total'", ["_Total"]),
        ("DMTF:CQL", f"SELECT Name FROM {MEMORY} WHERE UsedMemory > 0 AND NOT IsAggregate = FALSE", ["Memory"]),
        ("WQL", f"SELECT Name FROM {MEMORY} WHERE Name = NULL", []),
    ],
)
def test_queries(wbem: pywbem.WBEMConnection, language: str, text: str, names: list[str]) -> None:
    found = wbem.ExecQuery(language, text)
    assert [one.path["Name"] for one in found] == names
    assert [one["Name"] for one in found] == names
    opened = wbem.OpenQueryInstances(language, text, MaxObjectCount=10)
    assert opened.eos
    assert [one["Name"] for one in opened.instances] == names


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("CIM:CQL", f"SELECT * FROM {MEMORY}", 14), ("DMTF:FQL", "Name='x'", 14), ("SQL", "SELECT 1", 14),
        ("WQL", "SELECT", 15), ("WQL", f"SELECT NoSuch FROM {MEMORY}", 15), ("WQL", "SELECT * FROM NoSuch", 5),
        ("DMTF:CQL", f"SELECT * FROM {MEMORY} WHERE Name LIKE 'x'", 15), ("WQL", f"SELECT * FROM {MEMORY};", 15),
    ],
)  # fmt: skip
def test_query_errors(wbem: pywbem.WBEMConnection, language: str, text: str, code: int) -> None:
    for ask in (wbem.ExecQuery, lambda a, b: wbem.OpenQueryInstances(a, b, MaxObjectCount=1)):
        with pytest.raises(pywbem.CIMError) as info:
            ask(language, text)
        assert status(info) == code


@pytest.mark.parametrize("pull", [None, True, False])
def test_iteration_in_the_three_modes(server: Server, pull: bool | None) -> None:
    with connect(server, False, use_pull_operations=pull) as wbem:
        expected = {instance["Name"] for instance in wbem.EnumerateInstances("SCX_StatisticalInformation")}
        found = list(wbem.IterEnumerateInstances("SCX_StatisticalInformation", MaxObjectCount=2))
        assert {instance["Name"] for instance in found} == expected
        assert all(instance.path.namespace == "root/scx" for instance in found)
        paths = list(wbem.IterEnumerateInstancePaths(PROCESSOR, MaxObjectCount=1))
        assert len(paths) == len(wbem.EnumerateInstanceNames(PROCESSOR))
        query = wbem.IterQueryInstances("WQL", f"SELECT * FROM {PROCESSOR}", MaxObjectCount=1)
        assert len(list(query.generator)) == len(paths)


def test_pull_filter_and_contexts(wbem: pywbem.WBEMConnection) -> None:
    opened = wbem.OpenEnumerateInstances(
        PROCESSOR, FilterQueryLanguage="DMTF:FQL", FilterQuery="Name='_Total'", MaxObjectCount=5
    )
    assert [one["Name"] for one in opened.instances] == ["_Total"]
    opened = wbem.OpenEnumerateInstances("SCX_StatisticalInformation", MaxObjectCount=1)
    assert not opened.eos
    with pytest.raises(pywbem.CIMError) as info:
        wbem.PullInstances(opened.context, MaxObjectCount=1)
    assert status(info) == 21, "an enumeration with paths is not pulled without"
    assert len(wbem.PullInstancesWithPath(opened.context, MaxObjectCount=1).instances) == 1
    wbem.CloseEnumeration(opened.context)
    for ask in (wbem.CloseEnumeration, lambda c: wbem.PullInstancesWithPath(c, MaxObjectCount=1)):
        with pytest.raises(pywbem.CIMError) as info:
            ask(opened.context)
        assert status(info) == 21
    for options, code in (({"OperationTimeout": 100_000}, 22), ({"ContinueOnError": True}, 26)):
        with pytest.raises(pywbem.CIMError) as info:
            wbem.OpenEnumerateInstances(MEMORY, MaxObjectCount=1, **options)
        assert status(info) == code
    answer = wbem.OpenQueryInstances("WQL", f"SELECT Name FROM {MEMORY}", ReturnQueryResultClass=True, MaxObjectCount=1)
    assert list(answer.query_result_class.properties) == ["Name"]


def test_open_enumerations_are_bounded(server: Server) -> None:
    with connect(server, False) as wbem:
        contexts: list[object] = []

        def open_many() -> None:
            for _ in range(200):
                contexts.append(wbem.OpenEnumerateInstances("SCX_StatisticalInformation", MaxObjectCount=0).context)

        with pytest.raises(pywbem.CIMError) as info:
            open_many()
        assert status(info) == 27
        assert contexts
        for context in contexts:
            wbem.CloseEnumeration(context)
        assert wbem.OpenEnumerateInstances(MEMORY, MaxObjectCount=1).eos


def test_errors(server: Server, wbem: pywbem.WBEMConnection) -> None:
    for code, ask in (
        (5, lambda: wbem.EnumerateInstances("NoSuch")),
        (5, lambda: wbem.GetClass("NoSuch")),
        (3, lambda: wbem.EnumerateInstances(MEMORY, namespace="root/nope")),
        (5, lambda: wbem.EnumerateInstances(MEMORY, namespace="root/omi")),
        (7, lambda: wbem.EnumerateInstances("SCX_LogFile")),
        (7, lambda: wbem.DeleteClass(MEMORY)),
        (16, lambda: wbem.InvokeMethod("ExecuteCommand", "SCX_OperatingSystem", [("Command", "id")])),
        (6, lambda: wbem.GetQualifier("NoSuch")),
    ):
        with pytest.raises(pywbem.CIMError) as info:
            ask()  # type: ignore[no-untyped-call]
        assert status(info) == code
    assert wbem.GetQualifier("Key").type == "boolean"
    assert {one.name for one in wbem.EnumerateQualifiers()} >= {"Key", "Abstract"}
    with connect(server, False, "wrong") as stranger, pytest.raises(pywbem.AuthError):
        stranger.EnumerateInstances(MEMORY)


def test_it_says_that_it_is_an_emulation(wbem: pywbem.WBEMConnection) -> None:
    server = pywbem.WBEMServer(wbem)
    assert server.interop_ns == "interop"
    assert {"root/scx", "root/omi", "interop"} <= set(server.namespaces)
    assert "lad-emulator" in server.brand
    assert wbem.EnumerateInstances("CIM_Namespace", namespace="root/interop")
    identity = wbem.EnumerateInstances("OMI_Identify", namespace="root/omi")[0]
    assert identity["InstanceID"] == "2FDB5542-5896-45D5-9BE9-DC04430AAABE"
    assert "emula" in f"{identity['ProductName']} {identity['ProductVendor']}".lower()


def test_https_needs_the_right_certificate(server: Server) -> None:
    with connect(server, True, ca_certs=None) as wbem, pytest.raises(pywbem.ConnectionError):
        wbem.EnumerateInstances(MEMORY)
    with connect(server, True, no_verification=True) as wbem:
        assert wbem.EnumerateInstances(MEMORY)
