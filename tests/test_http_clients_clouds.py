"""Clients of clouds: botocore over urllib3 and Google's over requests are traced, and their signatures stay right."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import PYTHON, Runner, WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "of the test"


class Cloud(WebServer):
    """Answers what the clients expect, and checks each signature of Signature Version 4."""

    def __init__(self) -> None:
        super().__init__()
        cloud = self
        self.signatures: list[bool] = []

        class Handler(self.server.RequestHandlerClass):  # type: ignore[name-defined]
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length") or 0))
                cloud.seen.append({"path": self.path, **headers})
                if headers.get("authorization", "").startswith("AWS4"):
                    cloud.signatures.append(is_signed(self.command, self.path, headers, body))
                answer, kind = answer_to(self.path, body) if self.command != "PUT" else (b"", "text/xml")
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT = do_GET

        self.server.RequestHandlerClass = Handler


def answer_to(path: str, body: bytes) -> tuple[bytes, str]:
    if b"GetCallerIdentity" in body:
        account = b"<GetCallerIdentityResult><Account>42</Account></GetCallerIdentityResult>"
        return b"<GetCallerIdentityResponse>" + account + b"</GetCallerIdentityResponse>", "text/xml"
    if path.startswith("/token"):
        return b'{"access_token": "abc", "expires_in": 3600, "token_type": "Bearer"}', "application/json"
    return b'{"name": "thing"}' if path.startswith("/v1") else b"content", "application/json"


def is_signed(method: str, target: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a request's signature is right, by AWS's own description of Signature Version 4."""
    scheme, _, rest = headers["authorization"].partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    _, date, region, service, _ = parts["Credential"].split("/")
    url = urlsplit(target)
    signed = parts["SignedHeaders"].split(";")
    payload = headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    canonical = "\n".join(
        [
            method,
            url.path or "/",
            "&".join(sorted(url.query.split("&"))),
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed),
            "",
            ";".join(signed),
            payload,
        ]
    )
    scope = f"{date}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{scheme}\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == parts["Signature"]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.close()


AWS = (
    "import sys\nimport botocore.session\n"
    "from botocore.config import Config\n"
    "session = botocore.session.get_session()\n"
    "session.set_credentials('key', 'of the test')\n"
    "def client(service):\n"
    "    return session.create_client(service, region_name='eu-west-1', endpoint_url=sys.argv[1],\n"
    "        config=Config(s3={'addressing_style': 'path'}, retries={'max_attempts': 0}))\n"
)
S3 = (
    "s3 = client('s3')\n"
    "print(s3.put_object(Bucket='shop', Key='a b', Body=b'x' * 100)['ResponseMetadata']['HTTPStatusCode'])\n"
    "print(s3.get_object(Bucket='shop', Key='a b')['Body'].read())\n"
)
STS = "print(client('sts').get_caller_identity()['Account'])\n"


@pytest.mark.parametrize(("calls", "spans"), [(S3, ["PUT", "GET"]), (STS, ["POST"])], ids=["s3", "sts"])
@pytest.mark.slow
def test_botocore(run: Runner, cloud: Any, calls: str, spans: list[str]) -> None:
    """Each call is one span of urllib3's; the traceparent goes out beside the signature, which stays right."""
    program = run.program(AWS + calls)
    plain = run.plain(PYTHON, program, cloud.url)
    assert plain.status == 0, plain
    traced = run.traced(PYTHON, program, cloud.url)
    assert (traced.out, traced.theirs) == (plain.out, plain.theirs)
    assert [span.name for span in traced.spans] == spans
    assert {span.scope for span in traced.spans} == {"tracerun.urllib3"}
    assert cloud.signatures == [True] * 2 * len(spans)
    sent = [seen.get("traceparent") for seen in cloud.seen]
    ours = [f"00-{span.trace_id}-{span.span_id}-01" for span in traced.spans]
    assert sent == [None] * len(spans) + ours


def test_a_signature_is_checked(cloud: Any) -> None:
    """The test's own check refuses a request whose signature is of something else."""
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=key/20250101/eu-west-1/s3/aws4_request, SignedHeaders=host, "
        "Signature=00",
        "host": "x",
        "x-amz-date": "20250101T000000Z",
    }
    assert not is_signed("GET", "/a", headers, b"")


GOOGLE = (
    "import sys\nfrom google.auth.transport.requests import AuthorizedSession, Request\n"
    "from google.oauth2.credentials import Credentials\n"
    "credentials = Credentials(None, refresh_token='r', token_uri=sys.argv[1] + '/token', client_id='c',\n"
    "    client_secret='s')\n"
    "session = AuthorizedSession(credentials)\n"
    "print(session.get(sys.argv[1] + '/v1/things').json())\n"
)
GOOGLE_API_CORE = (
    "import sys\nfrom google.api_core import exceptions, retry\n"
    "from google.auth.credentials import AnonymousCredentials\n"
    "from google.auth.transport.requests import AuthorizedSession\n"
    "session = AuthorizedSession(AnonymousCredentials())\n"
    "@retry.Retry()\ndef get():\n"
    "    response = session.get(sys.argv[1] + '/v1/things')\n"
    "    if response.status_code != 200:\n        raise exceptions.from_http_response(response)\n"
    "    return response.json()\n"
    "print(get())\n"
)


@pytest.mark.parametrize(
    ("text", "paths"),
    [(GOOGLE, ["/token", "/v1/things"]), (GOOGLE_API_CORE, ["/v1/things"])],
    ids=["google-auth", "google-api-core"],
)
@pytest.mark.slow
def test_google(run: Runner, cloud: Any, text: str, paths: list[str]) -> None:
    """Each request of Google's REST clients, that for a token included, is one span of requests'."""
    program = run.program(text)
    plain = run.plain(PYTHON, program, cloud.url)
    assert plain.status == 0, plain
    traced = run.traced(PYTHON, program, cloud.url)
    assert (traced.out, traced.theirs) == (plain.out, plain.theirs)
    assert [urlsplit(span.attributes["url.full"]).path for span in traced.spans] == paths
    assert {span.scope for span in traced.spans} == {"tracerun.requests"}
    assert all("traceparent" in seen for seen in cloud.seen[len(paths) :])
