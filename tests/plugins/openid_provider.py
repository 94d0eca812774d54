"""A small OpenID Connect provider on this machine: discovery, sign-in without questions, tokens, keys.

It holds its client to the rules: client secret, redirect address, PKCE, and a code that is good once.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID, CLIENT_SECRET = "groundwork", "a-secret-of-the-test"
Claims = dict[str, Any]


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class OpenIDProvider:
    """What the provider says and signs, and what it was asked."""

    url: str
    person: Claims = field(default_factory=dict[str, Any])
    """Claims about whoever signs in."""
    lies: Claims = field(default_factory=dict[str, Any])
    """What the next ID tokens say instead; None leaves a claim out."""
    sign: Callable[[Claims], str] | None = None
    """Signs ID tokens in another way."""
    description: Claims = field(default_factory=dict[str, Any])
    """What its discovery document says besides, or instead."""
    failing: str = ""
    """A path that answers 500."""
    key: rsa.RSAPrivateKey = field(default_factory=_new_key, repr=False)
    kid: str = "first"
    asked: list[str] = field(default_factory=list[str])
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, "dict[str, str]"])

    def is_(self, subject: str, email: str, verified: bool = True, **more: Any) -> None:
        """Says who signs in from now on."""
        self.person = {"sub": subject, "email": email, "email_verified": verified, **more}

    def rotate(self) -> None:
        """Signs with another key from now on, and shows only that."""
        self.key, self.kid = _new_key(), secrets.token_hex(4)

    def id_token(self, nonce: str) -> str:
        """A token about the person, or what a test makes of it."""
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce, **self.person}
        claims = {name: value for name, value in {**said, **self.lies}.items() if value is not None}
        return self.sign(claims) if self.sign else self.signed(claims)

    def signed(self, claims: Claims) -> str:
        """As it ought to be: RS256."""
        return jwt.encode(claims, self.key, "RS256", {"kid": self.kid})

    def signed_with_public_key(self, claims: Claims) -> str:
        """HS256 with the public key as the secret, the oldest trick there is."""
        header = {"alg": "HS256", "typ": "JWT", "kid": self.kid}
        text = b".".join(_base64(json.dumps(each).encode()) for each in (header, claims))
        secret = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return (text + b"." + _base64(hmac.digest(secret, text, "sha256"))).decode()

    def unsigned(self, claims: Claims) -> str:
        """Algorithm `none`."""
        return jwt.encode(claims, None, "none")

    def keys(self) -> Claims:
        """The key as others may know it, beside one for encryption only."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.kid, "use": "sig"}, {**public, "kid": self.kid, "use": "enc"}]}

    def discovery(self) -> Claims:
        """The document that names everything else."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.description,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: OpenIDProvider

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        self.provider.asked.append(path)
        if path == self.provider.failing:
            self._send(500, {"error": "server_error"})
        elif path == "/.well-known/openid-configuration":
            self._send(200, self.provider.discovery())
        elif path == "/keys":
            self._send(200, self.provider.keys())
        elif path == "/authorize":
            self._authorize({name: values[0] for name, values in parse_qs(query).items()})
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == self.provider.failing:
            self._send(500, {"error": "server_error"})
            return
        self._send(*self._token({name: values[0] for name, values in parse_qs(body).items()}))

    def _authorize(self, asked: dict[str, str]) -> None:
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.provider.codes[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        self._send(302, {}, Location=f"{asked['redirect_uri']}?{answer}")

    def _token(self, asked: dict[str, str]) -> tuple[int, Claims]:
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        in_body = (asked.get("client_id"), asked.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        wants_body = self.provider.discovery().get("token_endpoint_auth_methods_supported") == ["client_secret_post"]
        if not (in_body if wants_body else self.headers["Authorization"] == f"Basic {expected}"):
            return 401, {"error": "invalid_client"}
        begun = self.provider.codes.pop(asked["code"], None)
        challenge = _base64(hashlib.sha256(asked.get("code_verifier", "").encode()).digest()).decode()
        if begun is None or begun["redirect_uri"] != asked["redirect_uri"] or begun["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        token = self.provider.id_token(begun["nonce"])
        return 200, {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token}

    def _send(self, status: int, body: Claims, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing: the tests look at `asked`."""


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@contextmanager
def serve_openid() -> Generator[OpenIDProvider]:
    """The provider on a free port of this machine, until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.provider = OpenIDProvider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield handler.provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
