"""Makes a flock on moto and asks about it: one line of JSON in, one line out, until the input ends.

`{"flock": {…}}` makes the flock whose job definition has the given image and mounts; `{"push": {…}}` puts a saved image
into a registry over plain HTTP; `{"log": …}` reads the CloudWatch log of a job. Nothing of the product creates anything.
"""

import gzip
import hashlib
import json
import sys
import tarfile
import urllib.request

import boto3
from botocore.config import Config

ENDPOINT, REGION = sys.argv[1], sys.argv[2]


def client(service):
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=REGION, config=config, **keys)


S3, SQS, DYNAMODB, BATCH, IAM = map(client, ["s3", "sqs", "dynamodb", "batch", "iam"])
SECRETS, LOGS = map(client, ["secretsmanager", "logs"])
ENVIRONMENTS = []


def environment():
    """The compute environment that all job queues share. Unmanaged, so that it needs no network."""
    if not ENVIRONMENTS:
        trust = {"Version": "2012-10-17", "Statement": []}
        role = IAM.create_role(RoleName="batch", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        made = BATCH.create_compute_environment(
            computeEnvironmentName="sheep", type="UNMANAGED", state="ENABLED", serviceRole=role
        )
        ENVIRONMENTS.append(made["computeEnvironmentArn"])
    return ENVIRONMENTS[0]


def flock(name, image, mounts, secret):
    buckets = {part: f"{name}-{part}" for part in ["inputs", "outputs", "code", "errors"]}
    for bucket in buckets.values():
        S3.create_bucket(Bucket=bucket)
    S3.put_bucket_versioning(Bucket=buckets["inputs"], VersioningConfiguration={"Status": "Enabled"})
    DYNAMODB.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "UUID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "UUID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    SECRETS.create_secret(Name=name, SecretString=json.dumps(secret))
    queue = SQS.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    order = [{"order": 1, "computeEnvironment": environment()}]
    jobs = BATCH.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    # As the template has it (contract §5.4), with what an emulator needs: where it is, and keys for it.
    variables = {
        "role_arn": "arn:aws:iam::123456789012:role/shepard",
        "role_session_name": "access_session",
        "SECRET_STORE": name,
        "USES_EFS": "False",
        "USES_LUSTRE": "False",
        "region": REGION,
        "inputs_bucket": buckets["inputs"],
        "outputs_bucket": buckets["outputs"],
        "quick_deploy_bucket": buckets["code"],
        "errors_bucket": buckets["errors"],
        "table_name": name,
        "ULIMIT_FILENO": "4096",
        "ALLOW_DOCKER_ACCESS": "False",
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    container = {
        "image": image,
        "command": ["/worker"],
        "vcpus": 1,
        "memory": 512,
        "privileged": True,
        "volumes": [{"name": f"v{n}", "host": {"sourcePath": source}} for n, (source, _) in enumerate(mounts)],
        "mountPoints": [
            {"sourceVolume": f"v{n}", "containerPath": target, "readOnly": False}
            for n, (_, target) in enumerate(mounts)
        ],
        "environment": [{"name": key, "value": value} for key, value in variables.items()],
    }
    definition = BATCH.register_job_definition(jobDefinitionName=name, type="container", containerProperties=container)
    return {
        "buckets": buckets,
        "queue": queue,
        "job_queue": jobs["jobQueueArn"],
        "job_definition": definition["jobDefinitionArn"],
        "variables": variables,
    }


def request(method, url, body=None, kind="application/octet-stream"):
    asked = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind})
    return urllib.request.urlopen(asked)


def push(registry, repository, tar):
    """Puts an image that was saved as docker does it; gives its digest."""
    base = f"http://{registry}/v2/{repository}"
    kinds = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json"
    layer_kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    def blob(kind, content):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        location = request("POST", f"{base}/blobs/uploads/", b"").headers["Location"]
        if location.startswith("/"):
            location = f"http://{registry}{location}"
        request("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", content)
        return {"mediaType": kind, "size": len(content), "digest": digest}

    with tarfile.open(tar) as saved:
        read = lambda name: saved.extractfile(name).read()
        image = json.loads(read("manifest.json"))[0]
        layers = [blob(layer_kind, gzip.compress(read(name), mtime=0)) for name in image["Layers"]]
        config = blob(kinds[1], read(image["Config"]))
    manifest = {"schemaVersion": 2, "mediaType": kinds[0], "config": config, "layers": layers}
    answer = request("PUT", f"{base}/manifests/latest", json.dumps(manifest).encode(), kinds[0])
    return answer.headers["Docker-Content-Digest"]


def log(queue, name):
    """The lines that Batch's log driver took of the newest job of a name, once the job has ended; else none."""
    found = []
    for status in ["SUCCEEDED", "FAILED"]:
        found += BATCH.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]
    ids = [job["jobId"] for job in found if job["jobName"] == name]
    if not ids:
        return None
    job = BATCH.describe_jobs(jobs=ids[-1:])["jobs"][0]
    stream = job["container"]["logStreamName"]
    events = LOGS.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)["events"]
    return {"status": job["status"], "lines": [e["message"] for e in events]}


for line in sys.stdin:
    asked = json.loads(line)
    (what, arguments), = asked.items()
    try:
        answer = {"flock": flock, "push": push, "log": log}[what](**arguments)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
