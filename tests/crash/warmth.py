"""What a process learns by working and each child would learn anew: modules, templates, statements.

Children tell it, the parent learns it once, and those that are forked later have it.
"""

import base64
import contextlib
import gc
import importlib
import pickle
import sys

from bitloot_adapters.email_templates.render import load_email_templates
from bitloot_adapters.http import trusted
from bitloot_adapters.postgres.record import Shape, statement_of


def shapes() -> frozenset[Shape]:
    """The shapes of decisions whose statements are compiled in this process.

    The cache does not list its keys; the collector, which must know them, does.
    """
    caches = [each for each in gc.get_referents(statement_of) if isinstance(each, dict)]
    keys = [key for cache in caches for key in cache]
    parts = [part for key in keys for part in (key if isinstance(key, tuple) else (key,))]
    return frozenset(part for part in parts if isinstance(part, Shape))


class Warmth:
    """What this process knows now; `told` is what it learnt since, as text."""

    def __init__(self) -> None:
        self._modules = frozenset(sys.modules)
        self._shapes = shapes()

    def told(self) -> str:
        """Empty when nothing was learnt."""
        modules = sorted(set(sys.modules) - self._modules)
        new = shapes() - self._shapes
        if not modules and not new:
            return ""
        return base64.b64encode(pickle.dumps((modules, new))).decode()


def learn(told: str) -> None:
    """Know what a child learnt."""
    modules, new = pickle.loads(base64.b64decode(told))
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    for shape in new:
        assert statement_of(shape).sql
    load_email_templates()
    trusted()
