"""Sending DICOM objects: to a node by C-STORE and to a server by STOW-RS, both on this computer."""

import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from pydicom import dcmread

from M3LungScreenLib.errors import NotSent, UsageError
from M3LungScreenLib.outputs.dicom_objects import sending
from Testing.stand_ins.dicom import CT_IMAGE, a_chest, write_series

pynetdicom = pytest.importorskip("pynetdicom", reason="the extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="the extra 'dicom' is not installed")

OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def files(tmp_path):
    write_series(tmp_path / "series", a_chest(3))
    return sorted((tmp_path / "series").iterdir())


@contextmanager
def a_node(status_of=lambda n: 0x0000, sop_class=CT_IMAGE):
    """A storage node: its port, and the UIDs that it received."""
    received = []

    def handle(event):
        received.append(event.dataset.SOPInstanceUID)
        return status_of(len(received))

    node = pynetdicom.AE("STORE")
    node.add_supported_context(sop_class)
    handlers = [(pynetdicom.evt.EVT_C_STORE, handle)]
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()


@contextmanager
def a_web_server(status=200, answer="{}"):
    """A STOW-RS server: its URL, and the requests (headers and length of the body) it had."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/dicom-web", requests
        finally:
            server.shutdown()
            thread.join()


def test_a_node_receives_every_object(files):
    with a_node() as (port, received):
        sending.send(files, f"STORE@127.0.0.1:{port}")
    assert received == [dcmread(each).SOPInstanceUID for each in files]


def test_an_object_that_a_node_refuses_is_named_and_the_others_are_stored(files):
    with (
        a_node(lambda n: OUT_OF_RESOURCES if n == 2 else 0) as (port, received),
        pytest.raises(NotSent, match=f"1 of 3 objects.*{files[1].name}: status 0xA700") as got,
    ):
        sending.send(files, f"STORE@127.0.0.1:{port}")
    assert got.value.exit_status == 5
    assert len(received) == 3


def test_a_node_that_does_not_take_ct_is_told(files):
    with (
        a_node(sop_class="1.2.840.10008.5.1.4.1.1.1") as (port, received),
        pytest.raises(NotSent, match="3 of 3 objects"),
    ):
        sending.send(files, f"STORE@127.0.0.1:{port}")
    assert received == []


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_that_is_not_there_is_told(files):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotSent, match="no association with STORE"):
        sending.send(files, f"STORE@127.0.0.1:{port}")


def test_a_web_server_receives_every_object_with_the_token(files, monkeypatch):
    monkeypatch.setenv(sending.TOKEN_VARIABLE, "secret")
    with a_web_server() as (url, requests):
        sending.send(files, url)
    assert [headers["Authorization"] for headers, _ in requests] == ["Bearer secret"] * 3
    uids = [dcmread(each).SOPInstanceUID.encode() for each in files]
    assert all(uid in body for uid, (_, body) in zip(uids, requests, strict=True))


def test_an_object_that_a_web_server_refuses_is_named(files):
    with (
        a_web_server(status=403) as (url, _),
        pytest.raises(NotSent, match=rf"3 of 3 objects.*{files[0].name}: 403") as got,
    ):
        sending.send(files, url)
    assert got.value.exit_status == 5


@pytest.mark.parametrize("target", ["pacs", "PACS@host", "@host:104", "ftp://host/x", "PACS@h:x"])
def test_a_target_that_is_none_is_refused_before_any_work(target):
    with pytest.raises(UsageError, match="neither a DICOMweb URL"):
        sending.check_target(target)


@pytest.mark.parametrize(
    "target", ["https://host/dicom-web", "PACS@10.0.0.1:104", "A B@[::1]:11112"]
)
def test_a_url_or_a_node_is_a_target(target):
    sending.check_target(target)
