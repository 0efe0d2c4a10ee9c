"""Methods of one's own where Python finds them."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """``broken_methods:Sound`` can be loaded by its name, here and on every rank."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
