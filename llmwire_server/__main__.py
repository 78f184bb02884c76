"""`python -m llmwire_server`: the same as `llmwire`."""

import sys

from llmwire_server.cli import main

sys.exit(main())
