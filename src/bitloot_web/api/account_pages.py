"""The pages behind the links in mails about accounts: looking at one changes nothing.

Link scanners open what stands in a mail. So the page asks first, and only its button posts the
token to the API. Nothing of the address is written into the page.
"""

import base64
import hashlib
from typing import Annotated, Final, TypeAlias

from litestar import MediaType, Response
from litestar.params import QueryParameter

from bitloot.domain.account_links import DELETION_PAGE, RECOVERY_PAGE
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone

_SCRIPT: Final = """
const button = document.querySelector("button"), told = document.querySelector("output");
button.addEventListener("click", async () => {
  button.disabled = true;
  const token = new URLSearchParams(location.search).get("token") || "";
  const headers = {"content-type": "application/json"};
  try {
    const body = JSON.stringify({token});
    const answer = await fetch(button.dataset.address, {method: "POST", headers, body});
    told.textContent = answer.ok ? button.dataset.done : (await answer.json()).detail;
    button.disabled = answer.ok || answer.status < 429;
  } catch {
    told.textContent = "The shop does not answer. Try again.";
    button.disabled = false;
  }
});
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
<p><button type="button" data-address="../v1/{page}" data-done="{done}">{title}</button></p>
<p><output></output></p>
<noscript><p>This page needs JavaScript: it asks before it changes anything.</p></noscript>
<script>{script}</script>
</body>
</html>
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_DIGEST}'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
# Read by the script, from the address.
Given: TypeAlias = Annotated[str | None, QueryParameter(name="token")]


@get(f"/{DELETION_PAGE}", access=Anyone(), include_in_schema=False)
async def keep_account(given: Given = None) -> Response[str]:
    """Asks whether the account shall stay."""
    del given
    return _page(
        DELETION_PAGE,
        title="Keep my account",
        text="Your account is going to be deleted. If you want to keep it, say so here.",
        done="Your account stays.",
    )


@get(f"/{RECOVERY_PAGE}", access=Anyone(), include_in_schema=False)
async def stop_recovery(given: Given = None) -> Response[str]:
    """Asks whether the account shall stay where it is."""
    del given
    return _page(
        RECOVERY_PAGE,
        title="Stop the move",
        text="Support was asked to move your account to another e-mail address.",
        done="Stopped: your account stays where it is.",
    )


def _page(page: str, *, title: str, text: str, done: str) -> Response[str]:
    shown = _PAGE.format(page=page, title=title, text=text, done=done, script=_SCRIPT)
    headers = {"content-security-policy": POLICY}
    return Response(shown, media_type=MediaType.HTML, headers=headers)
