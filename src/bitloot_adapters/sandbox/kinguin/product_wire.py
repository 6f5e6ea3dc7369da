"""Products and offers as the vendor writes them, with the fields that some products lack."""

from collections.abc import Mapping
from datetime import datetime

from bitloot_adapters.sandbox.kinguin import words
from bitloot_adapters.sandbox.kinguin.catalogue import Offer, Product
from bitloot_adapters.sandbox.kinguin.draw import Draw

REGION_NAMES: Mapping[int, str] = dict(words.REGIONS)
ACTIVATION = (
    "Go to:  https://{platform}.example/about and download the client\r\n\r\n\r\n"
    'Click "Install" (from the upper right corner)\r\n\r\n\r\n'
    "Install and start the application, login with your Account name and Password "
    "(create one if you don't have).\r\n\r\nClick the Games Menu.\r\n"
    "Choose Activate a Product...\r\nFollow the onscreen instructions to complete the process."
)
DESCRIPTION = (
    "{title} blends award-winning {genre} action with Aurora™ technology &amp; a story by the "
    "makers of &quot;Café Noir&quot;. It&#39;s a must-have®!\r\n<p>Über 40 Stunden "
    "Spielspaß &ndash; <b>jetzt</b> spielen.</p><script>alert(1)</script>"
)


def seconds(at: datetime) -> str:
    """A date as REST objects write it: seconds and a `+00:00` offset."""
    return at.isoformat(timespec="seconds")


def milliseconds(at: datetime) -> str:
    """A date as webhooks write it: milliseconds and a `+00:00` offset."""
    return at.isoformat(timespec="milliseconds")


def product_json(
    product: Product, *, offers_visible: bool, text_qty_visible: bool
) -> dict[str, object]:
    """The product object (ESA reference, "Product object").

    The optional texts are drawn from the product's number, so that the same product always has
    and always lacks the same fields.
    """
    cheapest = product.cheapest
    shown: dict[str, object] = {
        "kinguinId": product.kinguin_id,
        "productId": product.product_id,
        "cheapestOfferId": [offer.offer_id for offer in cheapest],
        "name": product.name,
        "platform": product.platform,
        "genres": list(product.genres),
        "qty": product.qty,
        "price": float(product.price),
        "totalQty": product.total_qty,
        "offersCount": len(product.offers),
        "isPreorder": product.is_preorder,
        "regionalLimitations": REGION_NAMES[product.region_id],
        "regionId": product.region_id,
        "merchantName": [offer.merchant for offer in cheapest],
        "updatedAt": seconds(product.updated_at),
    }
    if text_qty_visible:
        shown["textQty"] = product.text_qty
    if product.original_name is not None:
        shown["originalName"] = product.original_name
    if product.release_date is not None:
        shown["releaseDate"] = product.release_date.isoformat()
    if product.languages:
        shown["languages"] = list(product.languages)
    if product.tags:
        shown["tags"] = list(product.tags)
    draw = Draw("texts", product.product_id)
    if offers_visible and not draw.chance(5):
        shown["offers"] = [
            offer_json(product, offer, text=text_qty_visible) for offer in product.offers
        ]
    return shown | _texts(product, draw) | _media(product, draw)


def offer_json(product: Product, offer: Offer, *, text: bool = True) -> dict[str, object]:
    """The offer object (ESA reference, "Offer object"): its `merchantName` is one string."""
    shown: dict[str, object] = {
        "name": product.name,
        "offerId": offer.offer_id,
        "price": float(offer.price),
        "qty": offer.qty,
        "availableQty": offer.available_qty,
        "merchantName": offer.merchant,
        "isPreorder": product.is_preorder,
        "wholesale": {
            "enabled": bool(offer.tiers),
            "tiers": [
                {"level": level, "price": float(price)}
                for level, price in enumerate(offer.tiers, start=1)
            ],
        },
    }
    if text:
        shown["textQty"] = offer.text_qty
        shown["availableTextQty"] = offer.available_text_qty
    if product.release_date is not None:
        shown["releaseDate"] = product.release_date.isoformat()
    return shown


def _texts(product: Product, draw: Draw) -> dict[str, object]:
    texts: dict[str, object] = {}
    if not draw.chance(10):
        texts["description"] = DESCRIPTION.format(
            title=product.original_name or product.name, genre=product.genres[0]
        )
    if not draw.chance(15):
        texts["activationDetails"] = ACTIVATION.format(platform=product.platform.lower()[:2])
    if product.kind in {"software", "prepaid"}:
        return texts
    if not draw.chance(10):
        texts["developers"] = list(draw.some(words.STUDIOS, 1, 2))
        texts["publishers"] = list(draw.some(words.STUDIOS, 1, 1))
    if not draw.chance(40):
        texts["metacriticScore"] = float(draw.between(41, 97))
    if not draw.chance(30):
        texts["ageRating"] = draw.pick(words.AGE_RATINGS)
    if "Steam" in product.platform and not draw.chance(20):
        texts["steam"] = str(200_000 + product.kinguin_id * 10)
    if not draw.chance(30):
        texts["countryLimitation"] = list(draw.some(words.COUNTRIES_SHUT_OUT, 0, 5))
    if not draw.chance(25):
        texts["systemRequirements"] = [
            {
                "system": system,
                "requirement": [
                    f"OS: {system}® (64-bit)",
                    f"Processor: {draw.between(2, 4)}.{draw.below(10)} GHz ",
                    f"Memory: {draw.between(4, 32)}GB RAM",
                ],
            }
            for system in draw.some(("Windows", "Mac", "Linux"), 1, 3)
        ]
    return texts


def _media(product: Product, draw: Draw) -> dict[str, object]:
    media: dict[str, object] = {}
    stem = f"https://images.kinguin.example/{product.product_id}"
    if not draw.chance(12):
        images: dict[str, object] = {
            "screenshots": [
                {"url": f"{stem}/{n}.jpg", "thumbnail": f"{stem}/{n}_thumb.jpg"}
                for n in range(draw.below(5))
            ],
        }
        if not draw.chance(8):
            cover = {"url": f"{stem}/cover.jpg", "thumbnail": f"{stem}/cover_thumb.jpg"}
            images["cover"] = [cover] if draw.chance(10) else cover
        media["images"] = images
    if not draw.chance(50):
        media["videos"] = [{"video_id": product.product_id[-11:]}]
    return media
