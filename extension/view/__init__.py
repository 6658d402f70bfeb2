"""Looking at what is there: tables, rows, status."""
