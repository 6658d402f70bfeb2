"""What the service says of itself: always that it is an emulation."""

from omi_queries import VERSION

NAME = "lad-emulator"
SERVER = f"{NAME}/{VERSION} (emulated OMI service)"
"""Value of the HTTP Server header."""
DESCRIPTION = f"Emulation of the OMI service by {NAME}, version {VERSION}"
