# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh connections, against real sockets on the loopback interface."""

import contextlib
import http.server
import socket
import threading
import time

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _probe


@contextlib.contextmanager
def listener(backlog=128, family=socket.AF_INET):
    with contextlib.closing(socket.socket(family)) as server:
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen(backlog)
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    # Bound and not listening: nobody else gets it, and connects are refused.
    with contextlib.closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "200000")
        self.end_headers()
        self.wfile.write(b"x" * 200000)

    def log_message(self, *_words):
        pass


@pytest.fixture
def web_server():
    server = http.server.HTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def probe(port, **changes):
    described = {
        "name": None,
        "host": "web1",
        "type": "tcp",
        "address": "127.0.0.1",
        "port": port,
        "path": "/",
        "status": [200],
        "rate": 1.0,
        "timeout": 1.0,
        "slow_ms": 500.0,
    }
    return dict(described, **changes)


def once(described):
    (tally,) = _probe.run([described], 0, "controller")
    return tally


def test_counts(closed_port):
    with listener() as port:
        begin = time.monotonic()
        up, down = _probe.run([probe(port, rate=10.0), probe(closed_port, host="web2", rate=10.0)], 1, "proxy1")
        took = time.monotonic() - begin
    assert 1 <= took < 2
    assert (up["probe"], up["source"], up["host"]) == ("tcp 127.0.0.1:%d" % port, "proxy1", "web1")
    assert (up["attempts"], up["ok"], up["failed"], up["errors"]) == (10, 10, 0, {})
    assert up["median_ms"] <= up["max_ms"]
    assert (down["attempts"], down["ok"], down["failed"]) == (10, 0, 10)
    assert down["errors"] == {"Connection refused": 10}
    assert down["median_ms"] is None


def test_no_time_is_one_connect_each():
    with listener() as port:
        assert once(probe(port, rate=50.0))["attempts"] == 1


def test_connections_come_evenly():
    times = [
        at for at, _tally in _probe._timetable([_probe._Tally(probe(1, rate=2.0), "x") for _number in range(3)], 2)
    ]
    gaps = [times[number] - times[number - 1] for number in range(1, len(times))]
    assert len(times) == 12
    assert max(gaps) == pytest.approx(min(gaps))


def test_many_probes_share_what_one_source_may_open():
    table = _probe._timetable([_probe._Tally(probe(1, rate=10.0), "x") for _number in range(200)], 5)
    assert 0.9 * _probe.MAX_RATE < len(table) / 5.0 <= _probe.MAX_RATE
    at_once = _probe._timetable([_probe._Tally(probe(1), "x") for _number in range(1000)], 0)
    assert at_once[-1][0] == pytest.approx(2, abs=0.01)


def test_a_full_queue_times_out():
    with listener(backlog=0) as port, contextlib.ExitStack() as stack:
        # Nobody accepts: once the queue is full, SYNs are dropped as they are on a host in trouble.
        for _number in range(4):
            filler = stack.enter_context(contextlib.closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        tally = once(probe(port, timeout=0.3))
    assert tally["errors"] == {"timed out": 1}


def test_every_connect_is_slow_above_no_limit():
    with listener() as port:
        tally = once(probe(port, slow_ms=0))
    assert (tally["ok"], tally["slow"]) == (1, 1)


def test_a_name_that_does_not_resolve_is_a_failed_connect():
    tally = once(probe(80, address="name.invalid", timeout=5.0))
    assert (tally["failed"], tally["ok"]) == (1, 0)


def test_over_ipv6():
    try:
        with listener(family=socket.AF_INET6) as port:
            tally = once(probe(port, address="::1"))
    except OSError:
        pytest.skip("no IPv6 here")
    assert (tally["probe"], tally["ok"]) == ("tcp [::1]:%d" % port, 1)


def test_a_page_is_an_answer_by_its_status(web_server):
    good = once(probe(web_server, type="http", path="/health"))
    assert (good["probe"], good["ok"]) == ("http 127.0.0.1:%d/health" % web_server, 1)
    bad = once(probe(web_server, type="http"))
    assert (bad["failed"], bad["errors"]) == (1, {"status 503": 1})
    assert once(probe(web_server, type="http", status=[200, 503]))["ok"] == 1


def test_who_does_not_speak_http_has_not_answered():
    with contextlib.closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)

        def greet():
            connection, _address = server.accept()
            with contextlib.closing(connection):
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        tally = once(probe(server.getsockname()[1], type="http"))
        thread.join()
    assert tally["errors"] == {"no answer in HTTP": 1}


def test_without_probes_the_time_passes_all_the_same():
    begin = time.monotonic()
    assert _probe.run([], 0.2, "controller") == []
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"port": 0}, "port 0 is not within 1 to 65535"),
        ({"port": 65536}, "port 65536 is not within"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"timeout": -1.0}, "timeout must be above 0"),
        ({"slow_ms": -1.0}, "slow_ms must not be negative"),
        ({"address": "web1 web2"}, "spaces"),
        ({"type": "http", "path": "health"}, "must begin with /"),
        ({"type": "http", "path": "/a\r\nX: y"}, "control characters"),
        ({"type": "http", "status": []}, "status must list codes"),
        ({"type": "http", "status": [42]}, "status must list codes"),
    ],
)
def test_what_is_no_probe_is_refused(changes, sentence):
    with pytest.raises(_probe.BadProbe, match=sentence):
        _probe.check(probe(**{"port": 80, **changes}))


def test_a_name_of_its_own():
    assert _probe.name_of(probe(80, name="the shop")) == "the shop"
