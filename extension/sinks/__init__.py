"""Where rows end: Azure Tables, or the embedded table store of a ``file:`` endpoint."""

from extension.sinks.base import MAX_ROWS, Reaction, Sink, SinkError
from extension.sinks.opening import open_sink

__all__ = ["MAX_ROWS", "Reaction", "Sink", "SinkError", "open_sink"]
