# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a Prometheus that does not answer as it should."""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.nettune.kernel.plugins.action.rollout_prometheus import ActionModule
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REFUSAL = b'{"status": "error", "error": "1:40: parse error: unexpected end of input"}'
ANSWERS = {
    "this is no whole answer in HTTP: BadStatusLine": b"SSH-2.0-OpenSSH_9.2\r\n",
    "this is no whole answer in HTTP: IncompleteRead": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "closed connection without response": b"",
    "this is no answer of Prometheus": b"HTTP/1.1 200 OK\r\n\r\n[]",
    "codec can't decode": b"HTTP/1.1 200 OK\r\n\r\n\xff",
    "Prometheus refuses the query: 1:40: parse error: unexpected end": b"HTTP/1.1 400 Bad Request\r\n\r\n" + REFUSAL,
    "HTTP Error 502: Bad Gateway": b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
}


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """The address of a server that answers each request with these bytes, and has the certificate if there is one."""
    servers: list[HTTPServer] = []

    def answering(answer: bytes, certificate: pathlib.Path | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(answer)

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            servers[-1].socket = context.wrap_socket(servers[-1].socket, server_side=True)
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http{'s' if certificate else ''}://127.0.0.1:{servers[-1].server_port}"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


def asked(url: str, **arguments: Any) -> dict[str, Any]:
    task = SimpleNamespace(
        args={"url": url, "hosts": ["a"], **arguments},
        action="nettune.kernel.rollout_prometheus",
        check_mode=False,
        async_val=0,
    )
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    return dict(ActionModule(task, connection, None, None, None, None).run(None, {}))


@pytest.mark.parametrize(("words", "answer"), ANSWERS.items(), ids=list(ANSWERS))
def test_a_look_without_an_answer_warns_and_undoes_nothing(
    words: str, answer: bytes, answering: Callable[[bytes], str]
) -> None:
    url = answering(answer)
    seen = asked(url)
    (warning,) = seen["warnings"]
    assert warning.startswith(f"{url}: ")
    assert words in warning
    assert seen["hosts"] == {"a": {"sample": None}}
    with pytest.raises(AnsibleActionFail, match=url):
        asked(url, complete=True)


def test_a_certificate_of_ones_own_authority(answering: Callable[..., str], tmp_path: pathlib.Path) -> None:
    file = tmp_path / "certificate.pem"
    file.write_bytes(self_signed())
    url = answering(b'HTTP/1.1 200 OK\r\n\r\n{"status": "success", "data": {"result": []}}', file)
    assert "CERTIFICATE_VERIFY_FAILED" in asked(url)["warnings"][0]
    assert "warnings" not in asked(url, ca_path=str(file))


def self_signed() -> bytes:
    """A key and its certificate for 127.0.0.1, valid for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "prometheus")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
