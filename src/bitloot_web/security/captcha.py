"""Asking whether a person is there, once for each request, before anything is done for it."""

import structlog

from bitloot.ports.errors import Rejected, Unavailable
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.security.client_address import client_of
from bitloot_web.shop import Shop

log = structlog.get_logger(__name__)


async def is_person(
    request: EdgeRequest, shop: Shop, token: str | None, *, action: str, mark: str | None = None
) -> bool:
    """Whether the token proves it, for requests of one `mark` again and again.

    Raises Unavailable and Rejected, which are answered as `provider-unavailable`: no answer means
    no. A provider that refuses ourselves is told as an error, since nobody gets in until somebody
    mends it.
    """
    address = client_of(request.scope, shop.edge.trusted_proxies)
    ending = "unavailable"
    try:
        passed = await shop.captcha.passes(
            token, action=action, remote_ip=str(address or ""), mark=mark
        )
        ending = "passed" if passed else "refused"
    except Unavailable as error:
        log.warning("captcha_unavailable", provider=error.provider, reason=error.reason)
        raise
    except Rejected as error:
        ending = "misconfigured"
        _alert(error)
        raise
    finally:
        shop.metrics.captcha.labels(ending).inc()
    return passed


def no_person(token: str | None) -> ProblemError:
    """What is answered where nobody proved it (Cloudflare Turnstile, "Error codes")."""
    return ProblemError("captcha-failed" if token else "captcha-missing")


def _alert(error: Rejected) -> None:
    told = {"provider": error.provider, "reason": error.reason, "detail": error.detail}
    log.error("captcha_misconfigured", **told)
