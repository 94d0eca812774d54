"""What every test gets."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["plugins.no_internet", "plugins.database", "plugins.installation"]

os.environ["GROUNDWORK_LLMS__DISCOVER"] = "false"  # what runs on the machine of whoever tests must change nothing

_LONGEST_FIRST = ("drills", "acceptance", "contract", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: begun last, one would run on alone when all others are done."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: _place(item.path.relative_to(tests).parts[0]))


def _place(folder: str) -> int:
    return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)
