"""From instances to rows: unpivot, windows, identity and keys. Pure; the collector adds clocks and files."""
