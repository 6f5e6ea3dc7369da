"""What a Turnstile stand-in is told when it starts: its sites, and how long a token lives."""

from typing import Final

import msgspec

SITE_KEY: Final = "0x4AAAAAAAsandboxSiteKey"
SITE_OWNER: Final = "0x4AAAAAAAsandboxSecretOfTheSite000"


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One widget. Two ``secrets`` mean that a rotation is under way.

    Empty ``hostnames`` let the widget run anywhere.
    """

    site_key: str = SITE_KEY
    secrets: tuple[str, ...] = (SITE_OWNER,)
    hostnames: tuple[str, ...] = ()


class TurnstileSandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one stand-in; every default gives a working server.

    The published test keys work beside the ``sites``. ``token_seconds`` is how old a token may
    be. ``test_hostname`` is what is answered for test keys; the vendor's own sample value is not
    documented.
    """

    sites: tuple[Site, ...] = (Site(),)
    token_seconds: float = 300.0
    test_hostname: str = "example.com"

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a site without a secret, or a secret of two sites.
        """
        secrets = [secret for site in self.sites for secret in site.secrets]
        if not all(site.secrets for site in self.sites) or len(set(secrets)) < len(secrets):
            raise ValueError("every site needs secrets of its own")
        if self.token_seconds <= 0:
            raise ValueError("token_seconds must be above 0")
