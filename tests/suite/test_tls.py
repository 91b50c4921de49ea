"""test_tls.py - Home Assistant behind TLS: only a certificate that can be trusted is talked to, and the log says why not."""

import json
import pathlib
import shutil
import socket
import subprocess
import unittest

from system import Process, Workspace, assert_same, free_port, wait_for

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://127.0.0.1:{home_port}; proxy_http_version 1.1; proxy_read_timeout 60s;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
        }}
        location /moved/ {{ return 301 https://127.0.0.1:{port}/; }}
        location /gone/ {{ return 502; }}
    }}
}}
"""


class Proxy:
    """nginx with a certificate of its own making, in front of a home."""

    def __init__(self, folder, home_port, names):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.folder.mkdir()
        self.certificate = self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=home", "-addext", f"subjectAltName={names}",
                        "-keyout", str(self.folder / "key.pem"), "-out", str(self.certificate)],
                       check=True, capture_output=True)
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, port=self.port, home_port=home_port))
        self.process = Process([NGINX, "-c", str(configuration), "-p", str(self.folder)], self.folder / "log")
        wait_for(self.answers, 20, "nginx to listen")  # else that nobody does is the first thing that is told

    def answers(self):
        socket.create_connection(("127.0.0.1", self.port), 5).close()
        return True

    def url(self, host="127.0.0.1", path=""):
        return f"https://{host}:{self.port}{path}"


class Tls(unittest.TestCase):
    def connect(self, work, url, **settings):
        system = work.system(HOME_ASSISTANT_URL=url, HOME_ASSISTANT_TOKEN="a-simulated-home-needs-no-secret-token",
                             enrich=1, **settings)
        return system.start(live=False)

    def why(self, system):
        return wait_for(lambda: system.api.get("/api/v1/ingest").get("why"), 20, "a reason")

    def serve(self, work, *arguments, names="IP:127.0.0.1,DNS:localhost"):
        home = work.home(*arguments)
        proxy = Proxy(work.path / "nginx", home.port, names)
        work.things.append(proxy)
        return home, proxy

    def test_with_the_certificate_authority_named_every_event_comes_through(self):
        with Workspace() as work:
            home, proxy = self.serve(work, "--rate", 20000, "--events", 20000, "--wait-for-client")
            system = self.connect(work, proxy.url(), HOME_ASSISTANT_CA_FILE=proxy.certificate)
            system.wait_live()
            system.settled(20000)
            events, _ = home.truth()
            assert_same([row["event"] for row in events], system.api.export(order="asc"))

    def test_an_unknown_certificate_is_refused_with_the_reason(self):
        with Workspace() as work:
            _, proxy = self.serve(work)
            system = self.connect(work, proxy.url())
            why = self.why(system)
            self.assertIn("the certificate is refused: self-signed certificate", why)
            self.assertNotEqual(system.api.get("/api/v1/ingest")["state"], "live")

    def test_a_certificate_for_another_name_is_refused_with_the_reason(self):
        with Workspace() as work:
            _, proxy = self.serve(work, names="DNS:elsewhere.example")
            system = self.connect(work, proxy.url("localhost"), HOME_ASSISTANT_CA_FILE=proxy.certificate)
            self.assertIn("the certificate is refused: hostname mismatch", self.why(system).lower())

    def test_an_unknown_certificate_is_taken_where_that_is_asked_for(self):
        with Workspace() as work:
            _, proxy = self.serve(work, names="DNS:elsewhere.example")
            self.connect(work, proxy.url(), HOME_ASSISTANT_TLS_VERIFY="false").wait_live()

    def test_a_status_of_the_proxy_is_told(self):
        with Workspace() as work:
            _, proxy = self.serve(work)
            system = self.connect(work, proxy.url(path="/gone"), HOME_ASSISTANT_CA_FILE=proxy.certificate)
            self.assertEqual(self.why(system), "HTTP 502")

    def test_a_redirection_is_told(self):
        with Workspace() as work:
            _, proxy = self.serve(work)
            system = self.connect(work, proxy.url(path="/moved"), HOME_ASSISTANT_CA_FILE=proxy.certificate)
            self.assertIn("HTTP 301: it redirects", self.why(system))

    def test_a_port_that_speaks_no_tls_is_told(self):
        with Workspace() as work:
            home = work.home()
            system = self.connect(work, f"https://127.0.0.1:{home.port}")
            self.assertIn("TLS: ", self.why(system))


if __name__ == "__main__":
    unittest.main()
