"""``python -m extension.config generate ...`` and ``check ...``: ``lad config`` without the rest of ``lad``."""

from __future__ import annotations

import sys

from extension import launch


def main() -> int:
    """Run one command; its exit code."""
    launch.for_one_command()
    import argparse  # here, because it must find the stand-ins

    from extension.config.cli import add_parsers

    parser = argparse.ArgumentParser(prog="lad")
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(["config", *sys.argv[1:]])
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
