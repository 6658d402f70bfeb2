"""``python -m omi_queries.omicli``."""

import sys

from omi_queries.omicli import main

if __name__ == "__main__":
    sys.argv[0] = "omicli"
    sys.exit(main())
