"""Where the reference data lies that is not part of the project.

Microsoft's requirement lists and a corpus of odd mail may stand in a folder ``shared`` beside the
checkout (or in ``$POSTHOUSE_SHARED``). Tests that use them skip, saying so, where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path
from unittest import SkipTest


def shared_path(*parts: str) -> Path:
    """The path of a file or folder of the reference data.

    :raises SkipTest: where the data is not present.
    """
    named = os.environ.get("POSTHOUSE_SHARED")
    # trial changes into a directory of its own, so the place is found from this file.
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared"
    path = root.joinpath(*parts)
    if not path.exists():
        raise SkipTest(f"reference data {'/'.join(parts)} is not present beside the checkout")
    return path
