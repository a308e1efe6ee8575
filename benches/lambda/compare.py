"""Measures the Lambda program against a Python handler that makes the same calls, on this machine, in this run.

    pip install boto3 ministack==1.5.33
    cargo xtask lambda
    python3 benches/lambda/compare.py target/x86_64-unknown-linux-musl/lambda/bootstrap

Both are driven over Lambda's Runtime API by this script, and each has a MiniStack of its own, whose CPU is not counted
and which keeps connections open as AWS does. Both make the same calls: for an upload alone, one receive that finds
nothing, one suffix GET, one conditional put of the row, one SubmitJob, and the job's id written into the row by a read
and a conditional put; for a burst, receives and deletes of ten, a GET and a put each, one manifest, one SubmitJob, one
mark. CPU is that of the function's process with all its threads, from the kernel's accounts; memory is the kernel's
high-water mark of what was resident. Start is from the start of the process to its first `next`.
"""

import argparse
import http.server
import io
import json
import os
import pathlib
import platform
import queue
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import zipfile

import boto3

HERE = pathlib.Path(__file__).resolve().parent
REGION = "us-east-1"
GIVEN = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ.get("HOME", "/"),
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_NAME": "measured",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_STREAM_NAME": "measured",
    "_HANDLER": "scheduler",
}


class RuntimeApi:
    """Lambda's side of the Runtime API."""

    def __init__(self):
        self.events, self.answers, self.polled = queue.Queue(), queue.Queue(), queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Two writes an answer: without this the second waits 40 ms for the first to be acknowledged.
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.polled.put(time.monotonic())
                event = outer.events.get()
                if event is None:
                    return
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", event[0])
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 600_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:measured")
                self.send_header("Content-Length", str(len(event[1])))
                self.end_headers()
                self.wfile.write(event[1])

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answers.put((self.path, body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()


class Function:
    """A running function, started as Lambda starts it."""

    def __init__(self, command, environment):
        self.api = RuntimeApi()
        begun = time.monotonic()
        self.process = subprocess.Popen(command, env={**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address})
        try:
            self.start_s = self.api.polled.get(timeout=60) - begun
        except queue.Empty:
            self.process.kill()
            raise SystemExit(f"{command} did not become ready") from None

    def invoke(self, event):
        begun = time.monotonic()
        self.api.events.put((f"request-{begun}", json.dumps(event).encode()))
        path, body = self.api.answers.get(timeout=600)
        if not path.endswith("/response"):
            raise SystemExit(f"the function failed: {body.decode()}")
        answer = json.loads(body)
        if answer.get("batchItemFailures"):
            raise SystemExit(f"{len(answer['batchItemFailures'])} messages were left: {body[:200]!r}")
        self.api.polled.get(timeout=60)
        return time.monotonic() - begun

    def cpu_s(self):
        """User and system time so far, of all threads."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024

    def stop(self):
        """Ends it; gives the CPU of its whole life, exact."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.api.stop()
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Flock:
    """The resources, on a MiniStack of its own."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.server = subprocess.Popen(
            ["ministack"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
            env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0",
                 "SFTP_ENABLED": "0"},
        )
        try:
            self.fill(port)
        except BaseException:
            self.stop()
            raise

    def fill(self, port):
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        settings = {"endpoint_url": self.url, "region_name": REGION, "aws_access_key_id": "test",
                    "aws_secret_access_key": "test"}
        client = {name: boto3.client(name, **settings) for name in ("s3", "sqs", "dynamodb", "iam", "batch")}
        self.s3, self.sqs, self.dynamodb, self.batch = (client[n] for n in ("s3", "sqs", "dynamodb", "batch"))
        self.s3.create_bucket(Bucket="inputs")
        self.s3.put_bucket_versioning(Bucket="inputs", VersioningConfiguration={"Status": "Enabled"})
        self.queue_url = self.sqs.create_queue(QueueName="uploads", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        self.queue_arn = asked["Attributes"]["QueueArn"]
        self.dynamodb.create_table(
            TableName="jobs", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "UUID", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "UUID", "KeyType": "HASH"}],
        )
        role = client["iam"].create_role(RoleName="shepard", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        compute = self.batch.create_compute_environment(
            computeEnvironmentName="measured", type="UNMANAGED", state="ENABLED", serviceRole=role)
        order = [{"order": 1, "computeEnvironment": compute["computeEnvironmentArn"]}]
        self.job_queue = self.batch.create_job_queue(
            jobQueueName="measured", state="ENABLED", priority=1, computeEnvironmentOrder=order)["jobQueueArn"]
        properties = {"image": "shepard:latest", "memory": 500, "vcpus": 1}
        self.definition = self.batch.register_job_definition(
            jobDefinitionName="measured", type="container", containerProperties=properties)["jobDefinitionArn"]

    def environment(self):
        return {
            **GIVEN,
            "AWS_ENDPOINT_URL": self.url,
            "dynamodb_table_name": "jobs",
            "job_queue_name": self.job_queue,
            "job_definition_arn": self.definition,
            "project_name": "measured",
            "days_to_keep_failed_launch_indexes": "30",
            "inputs_bucket": "inputs",
            "SHEPARD_QUEUE_URL": self.queue_url,
            "SHEPARD_ARRAYS": "True",
            "SHEPARD_PARTIAL_FAILURES": "True",
            # Uploads one right after the other are no quiet day: at the usual 45 a second ours would wait for each.
            "SHEPARD_SUBMITS_PER_SECOND": "500",
        }

    def upload(self, name):
        variables = {"sample": name, "depth": 30, "TAG": "measured", "flag": True}
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inputs.txt", json.dumps(variables))
            archive.writestr("data/reads.txt", "ACGT" * 500)
        version = self.s3.put_object(Bucket="inputs", Key=name, Body=made.getvalue())["VersionId"]
        return json.dumps({"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "inputs"}, "object": {"key": name, "versionId": version, "size": 900}},
        }]})

    def event(self, bodies):
        return {"Records": [{
            "messageId": str(at), "receiptHandle": f"given-{at}", "body": body, "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "1"}, "eventSourceARN": self.queue_arn, "awsRegion": REGION,
        } for at, body in enumerate(bodies)]}

    def enqueue(self, bodies):
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at:at + 10])]
            self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)

    def rows(self):
        return sum(page["Count"] for page in self.dynamodb.get_paginator("scan").paginate(
            TableName="jobs", Select="COUNT"))

    def stop(self):
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()


def measure(command, options):
    """One implementation, on an emulator of its own."""
    flock = Flock()
    try:
        environment = flock.environment()
        starts, start_cpu = [], []
        for _ in range(options.starts):
            function = Function(command, environment)
            starts.append(function.start_s)
            start_cpu.append(function.stop())

        # One upload an invocation, as on a quiet day. The first pays for connections and is not counted.
        bodies = [flock.upload(f"quiet/{at}.zip") for at in range(options.quiet + 1)]
        function = Function(command, environment)
        function.invoke(flock.event(bodies[:1]))
        before = function.cpu_s()
        walls = [function.invoke(flock.event([body])) for body in bodies[1:]]
        quiet_cpu = (function.cpu_s() - before) / options.quiet
        function.stop()
        if flock.rows() != options.quiet + 1:
            raise SystemExit(f"{flock.rows()} rows of {options.quiet + 1} uploads")

        # A burst: ten messages handed over, the rest drained, by one invocation if it is given the time for it.
        bodies = [flock.upload(f"burst/{at}.zip") for at in range(options.burst)]
        flock.enqueue(bodies[10:])
        function = Function(command, {**environment, "SHEPARD_DRAIN_MILLISECONDS": "20000"})
        before, begun, wall, calls = function.cpu_s(), flock.rows(), 0.0, 0
        wall += function.invoke(flock.event(bodies[:10]))
        calls = 1
        while flock.rows() - begun < options.burst and calls < 1000:
            asked = flock.sqs.receive_message(QueueUrl=flock.queue_url, MaxNumberOfMessages=10)
            taken = asked.get("Messages", [])
            if not taken:
                time.sleep(0.05)
                continue
            event = flock.event([message["Body"] for message in taken])
            for record, message in zip(event["Records"], taken):
                record["receiptHandle"], record["messageId"] = message["ReceiptHandle"], message["MessageId"]
            wall += function.invoke(event)
            calls += 1
        burst_cpu = (function.cpu_s() - before) / options.burst
        peak = function.peak_mb()
        function.stop()
        if flock.rows() - begun != options.burst:
            raise SystemExit(f"{flock.rows() - begun} rows of {options.burst} uploads")
        return {
            "start, wall ms": statistics.median(starts) * 1000,
            "start, CPU ms": statistics.median(start_cpu) * 1000,
            "quiet upload, wall ms": statistics.median(walls) * 1000,
            "quiet upload, CPU ms": quiet_cpu * 1000,
            f"burst of {options.burst:,}, wall ms an upload": wall / options.burst * 1000,
            f"burst of {options.burst:,}, CPU ms an upload": burst_cpu * 1000,
            f"burst of {options.burst:,}, peak resident MB": peak,
            "invocations of the burst": calls,
        }
    finally:
        flock.stop()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bootstrap", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=3, help="the two take turns; medians are printed")
    options.add_argument("--starts", type=int, default=11)
    options.add_argument("--quiet", type=int, default=200)
    options.add_argument("--burst", type=int, default=2000)
    options = options.parse_args()
    load = os.getloadavg()[0]
    commands = {"Python": [sys.executable, str(HERE / "bootstrap.py")], "Rust": [str(options.bootstrap.resolve())]}
    rounds = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            rounds[name].append(measure(command, options))
    median = {
        name: {what: statistics.median(one[what] for one in measured) for what in measured[0]}
        for name, measured in rounds.items()
    }
    print(f"Load before {load:.2f}, after {os.getloadavg()[0]:.2f}, of {os.cpu_count()} CPUs; "
          f"Python {platform.python_version()}, boto3 {boto3.__version__}; "
          f"{options.bootstrap.stat().st_size / 1e6:.1f} MB of binary; medians of {options.rounds} rounds")
    print("\n| measured | Python | Rust | ratio | ratios of the rounds |\n|---|---|---|---|---|")
    for what, mine in median["Rust"].items():
        other = median["Python"][what]
        each = ", ".join(f"{a[what] / b[what]:.1f}" for a, b in zip(rounds["Python"], rounds["Rust"]))
        print(f"| {what} | {other:.2f} | {mine:.2f} | {other / mine:.1f} | {each} |")


if __name__ == "__main__":
    main()
