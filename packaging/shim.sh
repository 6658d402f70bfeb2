#!/bin/sh
# The entry point that HandlerManifest.json names: shim.sh -install | -enable | -disable | -uninstall | -update
# Finds a Python that fits the package's binary modules and runs the command table with it.
# `python-tag` has two lines: X.Y, and the file ending of extension modules (which names implementation, version,
# machine and C library). Exit 52 (missing dependency) if no Python fits.

# an agent may hand down no PATH, or an empty one; only built-in commands are used here
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
case $0 in
*/*) home=${0%/*}/ ;;
*) home=. ;;
esac
cd -P -- "$home" && home=$(pwd -P) || {
  echo "shim.sh: cannot enter the extension's folder" >&2
  exit 1
}
version=
ending=
if [ -r python-tag ]; then
  { read -r version; read -r ending; } <python-tag
fi
if [ -z "$version" ] || [ -z "$ending" ]; then
  echo "shim.sh: $home/python-tag is missing or incomplete: install the package again" >&2
  exit 52
fi

fits() {
  [ -n "$1" ] && command -v "$1" >/dev/null 2>&1 &&
    "$1" -I -S -c 'import sys, _imp, _sqlite3, _ssl, zlib
sys.exit(0 if "%d.%d" % sys.version_info[:2] == sys.argv[1] and _imp.extension_suffixes()[0] == sys.argv[2] else 1)' \
      "$version" "$ending" </dev/null >/dev/null 2>&1
}

for python in "${LAD_PYTHON:-}" "python$version" python3 \
  "/usr/bin/python$version" /usr/bin/python3 "/usr/local/bin/python$version" /usr/local/bin/python3; do
  if fits "$python"; then
    exec "$python" -I -S "$home/extension/launch.py" "$home/lib" handler.commands "$@"
  fi
done
echo "shim.sh: no Python $version for modules ending in $ending was found (tried LAD_PYTHON='${LAD_PYTHON:-}'," \
  "python$version, python3, /usr/bin, /usr/local/bin): install python$version with its sqlite3 and ssl modules," \
  "or set LAD_PYTHON to its path, or build the package with the Python of this machine" >&2
exit 52
