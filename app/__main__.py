"""`python -m app` runs the backend."""

import sys

from app.server import main

sys.exit(main())
