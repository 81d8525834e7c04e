"""The shop's front door: passes a customer's basket on and hears back how the order went.

Run it with `flask --app gateway run --port 8000`.
"""

import os

import httpx
from flask import Flask, request, url_for
from flask.typing import ResponseReturnValue

ORDERS_URL = os.environ.get("ORDERS_URL", "http://127.0.0.1:8001")

app = Flask(__name__)


@app.post("/checkout/<customer>")
def checkout(customer: str) -> ResponseReturnValue:
    order = {
        "articles": request.get_json()["articles"],
        "notify": url_for("notified", customer=customer, _external=True),
    }
    try:
        answer = httpx.post(f"{ORDERS_URL}/orders", json=order, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        app.logger.warning("no order for %s: %s", customer, error)
        return {"error": "orders did not take the order"}, 502
    return answer.json(), 201


@app.post("/notifications/<customer>")
def notified(customer: str) -> ResponseReturnValue:
    app.logger.info("order of %s: %s", customer, request.get_json())
    return "", 204
