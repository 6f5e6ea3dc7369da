"""A stateful stand-in for the NOWPayments API, for tests, `bitloot demo` and fault drills.

It speaks the vendor's wire protocol (NOWPayments API documentation, "Payments" and "IPN"
chapters) and shares no code with the client that talks to it. Start at `app.build_app`.
"""
