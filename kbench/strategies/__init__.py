"""The registry of strategies, which choose the samples to train on; each is one small file."""

from typing import TYPE_CHECKING, Any, get_args

from kbench.config import own_code
from kbench.config.strategy_choice import Role
from kbench.errors import ConfigError

if TYPE_CHECKING:
    from kbench.strategies.api import Strategy

STRATEGIES = {
    "baseline": "kbench.strategies.baseline:Baseline",
    "random": "kbench.strategies.random_hiding:RandomHiding",
    "rs2": "kbench.strategies.rs2:RS2",
    "budget": "kbench.strategies.budget:Budget",
    "iswr": "kbench.strategies.iswr:ISWR",
    "forget": "kbench.strategies.forget:Forget",
    "forget-online": "kbench.strategies.forget_online:ForgetOnline",
    "sb": "kbench.strategies.sb:SelectiveBackprop",
    "sb-stale": "kbench.strategies.sb_stale:StaleSB",
    "sb-epoch": "kbench.strategies.sb_epoch:EpochSB",
    "kakurenbo": "kbench.strategies.kakurenbo:Kakurenbo",
    "kf18": "kbench.strategies.kf18:KF18",
    "ies": "kbench.strategies.ies:IES",
    "orderdp": "kbench.strategies.orderdp:OrderDP",
    "seta": "kbench.strategies.seta:SeTa",
    "rcap": "kbench.strategies.rcap:RCAP",
    "infobatch": "kbench.strategies.infobatch:InfoBatch",
    "autoassist": "kbench.strategies.autoassist:AutoAssist",
    "rho-loss": "kbench.strategies.rho_loss:RhoLoss",
    "divbs": "kbench.strategies.divbs:DivBS",
    "gradmatch": "kbench.strategies.gradmatch:GradMatch",
    "craig": "kbench.strategies.craig:Craig",
    "subset": "kbench.strategies.subset:Subset",
    "prune-el2n": "kbench.strategies.prune_el2n:PruneEL2N",
    "dual": "kbench.strategies.dual:Dual",
    "progressive": "kbench.strategies.progressive:Progressive",
    "warmup": "kbench.strategies.warmup:Warmup",
}


def known() -> dict[str, str]:
    """Return every strategy's name with its ``module:Class``: built in, or of an installed package."""
    return own_code.installed(own_code.STRATEGIES) | STRATEGIES


def strategy_class(name: str) -> "type[Strategy]":
    """Load the class of a strategy.

    Args:
        name: a known name (``kakurenbo``), or ``package.module:Class``; the working folder is searched as well.

    Raises:
        ConfigError: there is none, it cannot be loaded, or it is no Strategy.
    """
    target = name if ":" in name else known().get(name)
    if target is None:
        raise ConfigError(f"unknown strategy {name!r}; known: {', '.join(known())}")
    return _accepted(name, own_code.load(target, "strategy"))


def _accepted(name: str, found: Any) -> "type[Strategy]":
    from kbench.strategies.api import Strategy

    if not (isinstance(found, type) and issubclass(found, Strategy) and hasattr(found, "__dataclass_fields__")):
        raise ConfigError(
            f"strategy {name!r} cannot be loaded: it is no dataclass derived from kbench.strategies.api.Strategy"
        )
    if found.role not in get_args(Role):
        roles = ", ".join(get_args(Role))
        raise ConfigError(f"strategy {name!r} cannot be loaded: its role must be one of {roles}, got {found.role!r}")
    return found


def role_of(name: str) -> Role:
    """Return the role of a strategy by its name; ``method`` where it is not known here or cannot be loaded."""
    try:
        return strategy_class(name).role
    except ConfigError:
        return "method"


def load(name: str, params: dict[str, Any] | None = None) -> "Strategy":
    """Build a strategy: ``load("kakurenbo", {"fraction": 0.3})``.

    Args:
        name: a known name (``kbench list strategies``), or ``package.module:Class``.
        params: its parameters; those left out have their defaults.

    Raises:
        ConfigError: there is no such strategy, or parameters are unknown or out of their range: with every one of them.
    """
    from kbench.strategies.parameters import check, resolve

    params = params or {}
    cls = strategy_class(name)
    problems = check(cls, params)
    if problems:
        raise ConfigError(f"{name}: {'.'.join(map(str, loc)) or 'parameters'}: {text}" for loc, text in problems)
    return cls(**resolve(cls, params))
