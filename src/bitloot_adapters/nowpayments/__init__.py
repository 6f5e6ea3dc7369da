"""NOWPayments: the crypto payment gateway."""
