"""Build the extension package: ``build_zip.py --out DIR [--publisher P] [--type T] [--version V]``.

The zip holds the three packages, ``lib/`` with the closure of the installed dependencies (copied from the running
environment, so no network is needed and the package fits the Python that builds it), manifests, ``shim.sh``,
``python-tag``, ``version`` and ``package.list`` (every file with its size). The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(HERE)
PACKAGES = ("extension", "handler", "omi_queries")
DEPENDENCIES = ("azure-data-tables", "lxml", "pywbem", "tenacity")
# pywbem declares setuptools but none of its modules, nor ply's or yamlloader's, imports it
NOT_NEEDED = frozenset(("setuptools",))
PUBLISHER, TYPE = "LadEmulator", "LinuxDiagnostic"
_SKIPPED_FOLDERS = frozenset(("__pycache__", "tests", "test"))
_SKIPPED_ENDINGS = (".pyc", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".rng", ".xsl", ".pth")
_SKIPPED_METADATA = frozenset(("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"))
_NAME = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*")
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class BuildError(Exception):
    """The package cannot be built; the text says what is missing and what to do."""


def project_version() -> str:
    """The version in pyproject.toml."""
    with open(os.path.join(CHECKOUT, "pyproject.toml"), encoding="utf-8") as source:
        found = re.search(r'^version = "([^"]+)"', source.read(), re.MULTILINE)
    if found is None:
        raise BuildError('pyproject.toml has no line: version = "X.Y.Z"')
    return found[1]


def closure(roots: tuple[str, ...] = DEPENDENCIES) -> list[importlib.metadata.Distribution]:
    """The installed distributions that ``roots`` need, by name.

    Extras are left out. A requirement with another marker counts if it is installed: the installer has evaluated it.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(name, "") for name in roots]
    while waiting:
        name, marker = waiting.pop()
        key = _canonical(name)
        if key in found or key in NOT_NEEDED:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if marker:
                continue
            raise BuildError(f"{name} is not installed in {sys.prefix}: run pip install -e . there") from None
        found[key] = distribution
        for requirement in distribution.requires or ():
            text, _, condition = requirement.partition(";")
            wanted = _REQUIREMENT.match(text)
            if wanted and not re.search(r"\bextra\b", condition):
                waiting.append((wanted[1], condition.strip()))
    return [found[key] for key in sorted(found)]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _library(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    """(path in the package, path on disk) of what a distribution needs at run time, licences included."""
    if distribution.files is None:
        raise BuildError(
            f"{distribution.metadata['Name']} has no list of its files; build in a virtual environment (make package)"
        )
    for file in distribution.files:
        parts = file.parts
        if ".." in parts or os.path.isabs(str(file)) or _SKIPPED_FOLDERS.intersection(parts[:-1]):
            continue
        metadata = parts[0].endswith(".dist-info")
        if file.name.endswith(_SKIPPED_ENDINGS) or (metadata and file.name in _SKIPPED_METADATA):
            continue
        path = str(distribution.locate_file(file))
        if os.path.isfile(path):
            yield "/".join(("lib", *parts)), path


def _own() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for folder, folders, names in os.walk(os.path.join(CHECKOUT, package)):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.endswith(".pyc") and not name.startswith("."):
                    yield os.path.relpath(path, CHECKOUT).replace(os.sep, "/"), path
    licence = os.path.join(CHECKOUT, "LICENSE")
    if os.path.isfile(licence):
        yield "LICENSE", licence


def _template(name: str, values: Mapping[str, str]) -> bytes:
    with open(os.path.join(HERE, name), encoding="utf-8") as source:
        text = source.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()


def contents(publisher: str, type_: str, version: str) -> dict[str, bytes]:
    """Every file of the package by its path, ``package.list`` included."""
    files: dict[str, bytes] = {}
    values = {"PUBLISHER": publisher, "TYPE": type_, "VERSION": version}
    for name in ("HandlerManifest.json", "manifest.xml"):
        files[name] = _template(name, values)
    for name in ("shim.sh", "lad-emulator.service"):
        files[name] = _template(name, {})
    files["version"] = f"{version}\n".encode()
    files["python-tag"] = f"{sys.version_info[0]}.{sys.version_info[1]}\n{EXTENSION_SUFFIXES[0]}\n".encode()
    sources = list(_own())
    for distribution in closure():
        sources += _library(distribution)
    for name, path in sources:
        with open(path, "rb") as source:
            files[name] = source.read()
    listed = "".join(f"{len(files[name])} {name}\n" for name in sorted(files) if name != "HandlerManifest.json")
    files["package.list"] = listed.encode()
    return files


def build(out_dir: str, *, publisher: str = PUBLISHER, type_: str = TYPE, version: str | None = None) -> str:
    """Write ``<out_dir>/<publisher>.<type>__<version>.zip`` in one step and return its path. BuildError, OSError."""
    version = project_version() if version is None else version
    if not _VERSION.fullmatch(version):
        raise BuildError(f"version {version!r} is not of the form 1.2.3")
    if not _NAME.fullmatch(publisher) or not re.fullmatch(r"[A-Za-z0-9]+", type_):
        raise BuildError(f"publisher {publisher!r}, type {type_!r}: only letters, digits (publisher: dots too)")
    os.makedirs(out_dir, exist_ok=True)
    target = os.path.join(os.path.abspath(out_dir), f"{publisher}.{type_}__{version}.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in sorted(contents(publisher, type_, version).items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if name == "shim.sh" else 0o100644) << 16
            archive.writestr(entry, data)
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as out:
            out.write(buffer.getvalue())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return target


def main() -> int:
    """Build the package and print its path."""
    parser = argparse.ArgumentParser(description="Build the extension package for the running Python.")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the zip")
    parser.add_argument("--publisher", default=PUBLISHER)
    parser.add_argument("--type", default=TYPE, dest="type_")
    parser.add_argument("--version", default=None, help="default: the project's version")
    args = parser.parse_args()
    try:
        path = build(args.out, publisher=args.publisher, type_=args.type_, version=args.version)
    except (BuildError, OSError) as error:
        print(f"build_zip.py: {error}", file=sys.stderr)
        return 1
    print(f"{path} ({os.path.getsize(path) // 1024} KiB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
