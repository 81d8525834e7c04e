"""Orders two articles, one of which the shop has never heard of.

Run it with `python client.py [GATEWAY_URL]`.
"""

import sys

import requests


def main(gateway: str = "http://127.0.0.1:8000") -> None:
    answer = requests.post(f"{gateway}/checkout/ada", json={"articles": ["apple", "unicorn"]}, timeout=15)
    answer.raise_for_status()
    outcome = answer.json()
    print("ordered:", ", ".join(outcome["ordered"]))
    print("unknown:", ", ".join(outcome["unknown"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
