"""The bad news that ports bring. Anything else is a bug and fails loudly."""


class Unavailable(Exception):
    """The provider was not reached or answered that it cannot now: nothing was done there.

    `retry_after` in seconds, None when the provider gave no hint. `reason` is a short stable word.
    """

    def __init__(self, provider: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(provider, reason)
        self.provider = provider
        self.reason = reason
        self.retry_after = retry_after


class Rejected(Exception):
    """A definite, documented no of the provider: nothing was done there.

    `reason` is one of the port's stable words; `detail` the provider's own, without secrets.
    """

    def __init__(self, provider: str, reason: str, detail: str = "") -> None:
        super().__init__(provider, reason, detail)
        self.provider = provider
        self.reason = reason
        self.detail = detail


class OutcomeUnknown(Exception):
    """The call may or may not have been carried out: it is looked up by `key`, never repeated."""

    def __init__(self, provider: str, key: str, reason: str = "") -> None:
        super().__init__(provider, key, reason)
        self.provider = provider
        self.key = key
        self.reason = reason


class StoreUnavailable(Exception):
    """The database or Redis is not reachable, or its pool is exhausted: nothing was written.

    One exception: a connection lost while it commits leaves it unknown whether it did. What is
    repeated after this error is safe only under a guard: a version, a fence, a unique key.
    """


class Busy(Exception):
    """As many wait already as may: nothing was done. `retry_after` in seconds.

    `what` is a short stable word for what there is too much of.
    """

    def __init__(self, what: str, *, retry_after: float) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after = retry_after


class Conflict(Exception):
    """A row moved on between being read and written: read again, decide again."""


class Duplicate(Exception):
    """A unique rule of the store refused an insert. `rule` names it, never the value."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class NoStockLeft(Exception):
    """The guarded counter of an offer or the free keys of a product would go below zero."""


class LeaseLost(Exception):
    """Another worker took the job over: this one stops without writing anything more."""


class VaultFault(Exception):
    """A stored key is missing or does not open: one form for every cause, telling nothing."""
