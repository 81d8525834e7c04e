"""A run of pytest has the same tests, counts, captures and warnings as plain."""
# fast
# $ python -m pytest -p no:randomly -p no:cacheprovider --tb=line PROGRAM => 1
# $ pytest -p no:randomly -p no:cacheprovider -q --tb=line PROGRAM => 1
# $ pytest -p no:randomly -p no:cacheprovider -n 2 --dist loadfile -q --tb=line PROGRAM => 1
# $ pytest -p no:randomly -p no:cacheprovider -s -v --tb=line PROGRAM => 1
# $ pytest -p no:randomly -p no:cacheprovider -W error --capture=sys --tb=line PROGRAM => 1
# $ pytest -p no:randomly -p no:cacheprovider --tb=native PROGRAM => 1
# mask: in \d+\.\d+s =*|=+ .* in .*=+
# mask: ^(\.|F|E| |s)+\[.*|^Python 3.*|127.0.0.1:\d+|port=\d+|^\[gw.*
# spans: 6

import logging
import os
import sys
import warnings

import flask
import pytest
import requests

app = flask.Flask(__name__)


@app.get("/")
def index():
    print("in handler")
    return "index"


@pytest.fixture
def client():
    return app.test_client()


def test_call(capfd):
    assert requests.get(os.environ["WEB"]).status_code == 200
    assert capfd.readouterr() == ("", "")


def test_handler(client, capsys):
    assert client.get("/").text == "index"
    assert capsys.readouterr() == ("in handler\n", "")


def test_log(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("app").info("mine")
        requests.get(os.environ["WEB"])
    assert [record.name for record in caplog.records] == ["app"]


def test_warns():
    warnings.warn("a warning of the program", UserWarning)
    with pytest.warns(DeprecationWarning) as caught:
        warnings.warn("old", DeprecationWarning)
    assert len(caught) == 1


def test_fails():
    assert requests.get(os.environ["WEB"]).status_code == 201


def test_fails_below():
    requests.get("http://127.0.0.1:9/")


def test_patched(monkeypatch):
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", lambda *args, **kwargs: "patched")
    with pytest.raises(AttributeError):
        requests.get(os.environ["WEB"])


def test_unpatched():
    assert requests.get(os.environ["WEB"]).text


@pytest.mark.skip(reason="not now")
def test_skipped():
    raise AssertionError
