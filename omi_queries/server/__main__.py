"""``python -m omi_queries.server``."""

import sys

from omi_queries.server import main

sys.exit(main())
