"""The durable files between the processes, one writer per file: ``collector.db`` and ``uploader.db`` (SQLite, WAL), and
the collector's newest samples in ``collector.ticks``."""
