"""The emulated OMI service: the SCX classes over CIM-XML, for read-only WBEM clients.

``python -m omi_queries.server --bind 127.0.0.1:PORT --credentials FILE``. Nothing here runs unless it is started by
name; nothing of it executes commands or writes to what it describes.
"""

from __future__ import annotations


def main() -> int:
    """Run the service with the arguments of the command line; see :mod:`omi_queries.server.service`."""
    from omi_queries.server.service import main as run

    return run()
