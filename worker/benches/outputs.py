#!/usr/bin/env python3
"""Time and memory of putting results, side by side with `aws s3 cp` of the same file to the same endpoint.

    cargo build --release -p shepard-worker --bench outputs
    python3 worker/benches/outputs.py --program target/release/deps/outputs-… [--endpoint URL] [--gib 5] [--rounds 3]

Without --endpoint both send to a sink of this script's own on loopback: it speaks as much of S3 as an upload needs,
reads every byte, keeps none and checks nothing. Emulators keep all parts and their copy in memory, which no 5 GiB
object leaves room for, and are slower than either client; with --endpoint the bucket `bench` must be there.
Needs `aws` on the path (pip install awscli). Writes a folder with one file of random data, and one of text that
deflates about as well as logs do.
"""

import argparse
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20


class Sink(socketserver.StreamRequestHandler):
    """One connection: HTTP/1.1, bodies read and forgotten. Sizes are kept, so that HEAD tells what came."""

    sizes, uploads, lock = {}, {}, threading.Lock()

    def handle(self):
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = memoryview(bytearray(MIB))
        while True:
            line = self.rfile.readline()
            if not line:
                return
            method, target, _ = line.decode().split(" ", 2)
            headers = {}
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, value = line.decode().split(":", 1)
                headers[name.lower()] = value.strip()
            if "expect" in headers:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = int(headers.get("content-length", 0))
            size = int(headers.get("x-amz-decoded-content-length", left))
            while left:
                count = self.rfile.readinto1(self.buffer[: min(left, MIB)])
                if not count:
                    return
                left -= count
            self.answer(method, target, size)

    def answer(self, method, target, size):
        path, _, query = target.partition("?")
        key = path.strip("/")
        body, extra = b"", ""
        with self.lock:
            if method == "POST" and query.startswith("uploads"):
                self.uploads[key] = 0
                bucket, _, name = key.partition("/")
                body = (f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{name}</Key>"
                        "<UploadId>u</UploadId></InitiateMultipartUploadResult>").encode()
            elif method == "PUT" and "partNumber" in query:
                self.uploads[key] += size
                extra = 'ETag: "e"\r\n'
            elif method == "PUT":
                self.sizes[key] = size
                extra = 'ETag: "e"\r\n'
            elif method == "POST":
                self.sizes[key] = self.uploads.pop(key)
                body = b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
            length = self.sizes.get(key, 0) if method == "HEAD" else len(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type: application/xml\r\n{extra}\r\n"
        self.wfile.write(head.encode() + body)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def random_file(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def text_file(path, size):
    """Lines as logs have them; a block of them with its own numbers again and again."""
    with open(path, "wb") as file:
        number = 0
        while file.tell() < size:
            lines = []
            for _ in range(5000):
                number += 1
                lines.append(f"2026-11-21T10:{number % 60:02}:{number % 59:02}.{number * 7919 % 1000:03}Z INFO "
                             f"worker-{number % 17} sample={number * 2654435761 % 2**32:08x} "
                             f"quality={number * 31 % 997 / 10} reads={number * 271 % 10007} ok\n")
            file.write("".join(lines).encode())
        file.truncate(size)


def run(command, environment):
    """Seconds, CPU seconds and peak KiB of a process."""
    before = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--endpoint")
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="random,text")
    parser.add_argument("--scratch", default=None)
    options = parser.parse_args()
    endpoint = options.endpoint
    if not endpoint:
        # A process of its own: its work is not this one's.
        ready = os.pipe()
        child = os.fork()
        if child == 0:
            server = Server(("127.0.0.1", 0), Sink)
            os.write(ready[1], str(server.server_address[1]).encode())
            os.close(ready[1])
            server.serve_forever()
        os.close(ready[1])
        endpoint = f"http://127.0.0.1:{os.read(ready[0], 9).decode()}"
    environment = dict(os.environ, AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="test",
                       AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
    size = int(options.gib * (1 << 30)) // MIB * MIB
    try:
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            for kind in options.kinds.split(","):
                folder = os.path.join(scratch, kind)
                os.mkdir(folder)
                file = os.path.join(folder, "data")
                (random_file if kind == "random" else text_file)(file, size)
                print(f"{kind}, {options.gib} GiB, load {os.getloadavg()[0]:.1f}")
                for _ in range(options.rounds):
                    _, cpu, _, output = run([options.program, "put", folder, "bench", kind], environment)
                    told = json.loads(output)
                    print(f"  worker      {size / told['seconds'] / 1e6:6.0f} MB/s of outputs, "
                          f"{told['bytes'] / told['seconds'] / 1e6:6.0f} MB/s sent, {told['seconds']:6.1f} s, "
                          f"CPU {cpu:5.1f} s, peak {told['peak_kib'] / 1024:5.1f} MiB")
                    whole, cpu, peak, _ = run(["aws", "s3", "cp", "--quiet", file, f"s3://bench/{kind}"], environment)
                    print(f"  aws s3 cp   {size / whole / 1e6:6.0f} MB/s of outputs, {size / whole / 1e6:6.0f} MB/s sent, "
                          f"{whole:6.1f} s, CPU {cpu:5.1f} s, peak {peak / 1024:5.1f} MiB")
                os.unlink(file)
    finally:
        if not options.endpoint:
            os.kill(child, 9)


if __name__ == "__main__":
    main()
