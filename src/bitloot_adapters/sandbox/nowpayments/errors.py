"""Refusals as the vendor words them (NOWPayments API documentation, "Errors")."""

from bitloot_adapters.sandbox.nowpayments.js_json import Json


class ApiError(Exception):
    """An error reply: `status`, `statusCode`, sometimes `code`, and `message`."""

    def __init__(self, http: int, code: str | None, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.code = code
        self.message = message

    def body(self) -> dict[str, Json]:
        shape: dict[str, Json] = {"status": False, "statusCode": self.http}
        if self.code is not None:
            shape["code"] = self.code
        return shape | {"message": self.message}


def invalid_api_key() -> ApiError:
    """403, not 401: a missing, wrong or other environment's key."""
    return ApiError(403, "INVALID_API_KEY", "Invalid api key")


def authorization_needed() -> ApiError:
    return ApiError(401, None, "Authorization header is empty, invalid or expired (Bearer JWT)")


def wrong_credentials() -> ApiError:
    return ApiError(403, "ACCESS_DENIED", "Access denied: wrong email or password")


def not_found(what: str) -> ApiError:
    """404 without a `code`: an unknown id, or one made with another key."""
    return ApiError(404, None, f"{what} not found")


def invalid_params(message: str) -> ApiError:
    return ApiError(400, "INVALID_REQUEST_PARAMS", message)


def bad_create(message: str) -> ApiError:
    return ApiError(400, "BAD_CREATE_PAYMENT_REQUEST", message)


def below_minimum() -> ApiError:
    return ApiError(400, "AMOUNT_MINIMAL_ERROR", "Crypto amount is less than minimal")


def currency_off(ticker: str) -> ApiError:
    message = f"Currency {ticker.upper()} is temporarily unavailable"
    return ApiError(400, "CURRENCY_UNAVAILABLE", message)
