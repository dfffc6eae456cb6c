"""Debian's nginx as a plain proxy: one worker, kept-alive connections upstream, nothing buffered, no access log."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from loadtest.machine import find
from loadtest.peers.base import Peer, Running, Stage
from loadtest.processes import free_port, start, wait_until_ready

_CONFIG = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr crit;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_buffer_size 64k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


def _start(stage: Stage) -> Running:
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="nginx-", dir=stage.scratch))
    # Root's nginx would hand its worker to `nobody`, who may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, user=user, upstream=stage.upstream_port, port=port))
    command = [find("nginx") or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    child = start("nginx", command, stage.cores.proxy, stage.scratch, {})
    wait_until_ready(child, f"http://127.0.0.1:{port}/v1/models", patience_s=10)
    return Running("nginx", port, child)


NGINX = Peer("nginx", _start)
