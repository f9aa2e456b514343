"""A client written to the text of labs 2 and 3 of CS677: one session that is kept, lookups, orders, and their numbers."""

import random
import sys

import requests

URL = f"http://{sys.argv[1]}"
STOCKS = ["GameStart", "RottenFish", "BoarCo", "MenhirCo"]

for name in STOCKS:
    listed = requests.put(f"{URL}/v1/stocks/{name}", json={"price": "15.99", "volume": 100}, timeout=30)
    assert listed.status_code == 201, listed.text

with requests.Session() as session:
    assert session.get(f"{URL}/stocks/Nothing").json()["error"]["code"] == 404
    orders = {}
    for _ in range(200):
        name = random.choice(STOCKS)
        data = session.get(f"{URL}/stocks/{name}").json()["data"]
        assert data["name"] == name and isinstance(data["price"], float) and isinstance(data["quantity"], int)
        order = {"name": name, "quantity": random.randint(1, 10), "type": random.choice(["buy", "sell"])}
        answer = session.post(f"{URL}/orders", json=order)
        if order["type"] == "buy" and order["quantity"] > data["quantity"]:
            error = answer.json()["error"]
            assert error["code"] == answer.status_code == 409 and error["message"], error
            continue
        orders[answer.json()["data"]["transaction_number"]] = order
    assert list(orders) == list(range(len(orders))), orders
    for number, order in orders.items():
        assert session.get(f"{URL}/orders/{number}").json()["data"] == {"number": number, **order}
    missing = session.get(f"{URL}/orders/{len(orders)}")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == 404
print("all is well")
