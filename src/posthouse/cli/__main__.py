"""``python -m posthouse.cli`` is the ``posthouse`` command."""

from __future__ import annotations

import sys

from posthouse.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
