"""kbench: does training on fewer or other samples really save time, and at what accuracy?

>>> import kbench
>>> kbench.run("quick")
>>> kbench.load("quick").runs
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kbench.api import calibrate, check, compare, load, plan, plot, report, run, status

__version__ = "0.1.0"
__all__ = ["calibrate", "check", "compare", "load", "plan", "plot", "report", "run", "status"]


def __getattr__(name: str) -> Any:
    """Import the functions of ``kbench.api`` when one of them is wanted, and not before."""
    if name in __all__:
        from kbench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", *__all__]
