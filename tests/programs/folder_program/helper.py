"""A module beside __main__."""

import os

if __name__ == "__main__":
    import requests

    print(__file__, __spec__, requests.get(os.environ["WEB"]).status_code)
