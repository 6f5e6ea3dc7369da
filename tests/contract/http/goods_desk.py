"""The desk's goods as a client asks for them."""

from typing import TYPE_CHECKING, Final

import httpx

from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

BASE: Final = "/v1/admin/catalog"
BAD_ADDRESSES: Final = [
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "file:///etc/passwd",
    "ftp://pictures.example/moon.png",
    "//pictures.example/moon.png",
    "/moon.png",
    "https://",
    "https://user:word@pictures.example/moon.png",
    "https://pictures.example/mo on.png",
    "https://pictures.example/mond\u00e9.png",
    "https://pictures.example:99999/moon.png",
    "https://[pictures/moon.png",
    "https://pictures.example/\n",
]


async def asked(
    stage: "Stage",
    method: str,
    path: str,
    body: object = None,
    *,
    version: int | None = None,
) -> httpx.Response:
    headers = dict(stage.admin)
    if version is not None:
        headers["if-match"] = f'"{version}"'
    if body is None:
        return await stage.client.request(method, f"{BASE}{path}", headers=headers)
    return await stage.client.request(method, f"{BASE}{path}", json=body, headers=headers)


def said(answer: httpx.Response) -> tuple[int, str]:
    """The status of a refusal and its code."""
    return answer.status_code, answer.json()["type"].removeprefix(URN)


async def shelved(stage: "Stage", slug: str, **fields: object) -> str:
    body = {"slug": slug, "title": slug, **fields}
    answer = await asked(stage, "POST", "/categories", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
