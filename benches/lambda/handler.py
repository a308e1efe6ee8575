"""What the Rust scheduler is compared with: the same calls to AWS, made by boto3.

It is written as a careful author would write it: clients made once, a suffix GET and no HEAD, messages drained in
parallel, a thread pool, conditional writes, arrays with a manifest for a burst. It does less than ours does: nothing
is found again after a crash, nothing is paced, and an archive is read by Python's own zipfile.
"""

import concurrent.futures
import datetime
import hashlib
import io
import json
import os
import secrets
import time
import urllib.parse
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONCURRENCY = int(os.environ.get("SHEPARD_CONCURRENCY", "64"))
MOST = 2000
WINDOW_S = int(os.environ.get("SHEPARD_DRAIN_MILLISECONDS", "300")) / 1000
SUFFIX = 65536 + 98
TABLE = os.environ["dynamodb_table_name"]
QUEUE = os.environ["job_queue_name"]
DEFINITION = os.environ["job_definition_arn"]
BUCKET = os.environ["inputs_bucket"]
QUEUE_URL = os.environ["SHEPARD_QUEUE_URL"]
KEEP_S = int(os.environ["days_to_keep_failed_launch_indexes"]) * 86400
RESERVED = {"UUID", "START_TIME", "END_TIME", "JOB_STATUS", "INPUT_ZIP_NAME", "IS_INVOKED"}

config = Config(max_pool_connections=CONCURRENCY, s3={"addressing_style": "path"}, retries={"max_attempts": 3})
s3 = boto3.client("s3", config=config)
sqs = boto3.client("sqs", config=config)
dynamodb = boto3.client("dynamodb", config=config)
batch = boto3.client("batch", config=config)
pool = concurrent.futures.ThreadPoolExecutor(CONCURRENCY)


def attribute(value):
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float)):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [attribute(item) for item in value]}
    return {"M": {name: attribute(item) for name, item in value.items()}}


def drain():
    """Receives until a receive comes back empty, there are enough, or the time is up."""
    until = time.monotonic() + WINDOW_S
    messages, lanes = [], 1
    while len(messages) < MOST and time.monotonic() < until:
        asked = [
            pool.submit(sqs.receive_message, QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, AttributeNames=["All"])
            for _ in range(lanes)
        ]
        found = [answer.result().get("Messages", []) for answer in asked]
        messages.extend(message for some in found for message in some)
        if not all(found):
            break
        lanes = min(lanes * 4, 32)
    return messages


def uploads(body):
    for record in json.loads(body).get("Records", []):
        entity = record["s3"]
        key = urllib.parse.unquote_plus(entity["object"]["key"])
        if not key.startswith(".shepard/"):
            yield entity["bucket"]["name"], key, entity["object"].get("versionId")


def inputs(bucket, key, version):
    """One suffix GET; the zip module takes what is before it for missing and finds the directory from the end."""
    asked = {"Bucket": bucket, "Key": key, "Range": f"bytes=-{SUFFIX}"}
    if version:
        asked["VersionId"] = version
    answer = s3.get_object(**asked)
    with zipfile.ZipFile(io.BytesIO(answer["Body"].read())) as archive:
        variables = json.loads(archive.read("inputs.txt"))
    for name in variables:
        if name.upper() in RESERVED:
            raise ValueError("reserved")
    return variables


def place(upload, group, index):
    bucket, key, version = upload
    identity = hashlib.sha256(f"{bucket}\0{key}\0{version}".encode()).hexdigest()[:32]
    variables = inputs(bucket, key, version)
    item = {name: attribute(value) for name, value in variables.items()}
    item |= {
        "UUID": {"S": identity},
        "START_TIME": {"S": "not_yet_initiated"},
        "JOB_STATUS": {"S": "not_yet_initiated"},
        "END_TIME": {"N": str(int(time.time()) + KEEP_S)},
        "SHEPARD_REV": {"N": "1"},
        "SHEPARD_ROW": {"S": json.dumps({"input": [bucket, key, version], "batch": [group, index]})},
    }
    try:
        dynamodb.put_item(TableName=TABLE, Item=item, ConditionExpression="attribute_not_exists(#u)",
                          ExpressionAttributeNames={"#u": "UUID"})
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return None
    return identity


def submit(name, environment, children):
    asked = {
        "jobName": name, "jobQueue": QUEUE, "jobDefinition": DEFINITION,
        "containerOverrides": {"environment": [{"name": k, "value": v} for k, v in environment.items()]},
    }
    if children > 1:
        asked["arrayProperties"] = {"size": children}
    return batch.submit_job(**asked)["jobId"]


def record(identity, job):
    """Writes the job's id into its row, if nobody has changed that since it was read."""
    found = dynamodb.get_item(TableName=TABLE, Key={"UUID": {"S": identity}}, ConsistentRead=True)["Item"]
    rest = json.loads(found["SHEPARD_ROW"]["S"]) | {"job": job}
    read = found["SHEPARD_REV"]["N"]
    item = found | {"SHEPARD_ROW": {"S": json.dumps(rest)}, "SHEPARD_REV": {"N": str(int(read) + 1)}}
    dynamodb.put_item(TableName=TABLE, Item=item, ConditionExpression="#r = :r",
                      ExpressionAttributeNames={"#r": "SHEPARD_REV"}, ExpressionAttributeValues={":r": {"N": read}})


def delete(receipts):
    def some(chunk):
        entries = [{"Id": str(at), "ReceiptHandle": receipt} for at, receipt in enumerate(chunk)]
        sqs.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries)

    list(pool.map(some, [receipts[at:at + 10] for at in range(0, len(receipts), 10)]))


def handler(event):
    given = [record["body"] for record in event["Records"]]
    drained = drain()
    bodies = given + [message["Body"] for message in drained]
    wanted = [upload for body in bodies for upload in uploads(body)]
    if len(wanted) == 1:
        made = place(wanted[0], None, 0)
        if made:
            job = submit(made, {"UUID": made, "INPUT_ZIP_NAME": wanted[0][1], "IS_INVOKED": "False"}, 1)
            record(made, job)
    elif wanted:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
        group = f"{stamp}-{secrets.token_hex(8)}"
        made = list(pool.map(lambda pair: place(pair[1], group, pair[0]), enumerate(wanted)))
        manifest = "".join((identity or "-" * 32) + "\n" for identity in made).encode()
        key = f".shepard/manifests/{group}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=manifest, IfNoneMatch="*")
        environment = {"UUID": group, "INPUT_ZIP_NAME": "None", "IS_INVOKED": "True", "SHEPARD_MANIFEST": key}
        job = submit(group, environment, len(made))
        s3.put_object(Bucket=BUCKET, Key=f".shepard/submitted/{group}", Body=job.encode(), IfNoneMatch="*")
    delete([message["ReceiptHandle"] for message in drained])
    return {"batchItemFailures": []}
