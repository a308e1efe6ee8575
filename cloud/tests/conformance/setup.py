"""Makes the parts of a flock on an emulator: one line of JSON in, one line out, until the input ends.

A string is the name of a flock to make, whose table has a stream where the name ends in `-streamed`; an object is an item for a table, `{"TableName": …, "Item": …}`, a value for a secret,
`{"SecretId": …, "SecretString": …}`, as somebody else's program would put it there, or a repository of images,
`{"repositoryName": …, "tags": […]}`, or lines of a log, `{"logGroupName": …, "logStreamName": …, "logEvents": […]}`.

No Rust program outside cloud/src/aws names the SDK, and nothing of the product creates anything; boto3 comes with moto.
"""

import json
import sys

import boto3
from botocore.config import Config

ENDPOINT, REGION = sys.argv[1], sys.argv[2]


def client(service):
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=REGION, config=config, **keys)


S3, SQS, DYNAMODB, BATCH, IAM = map(client, ["s3", "sqs", "dynamodb", "batch", "iam"])
SECRETS = client("secretsmanager")
ECR = client("ecr")
LOGS = client("logs")


def environment():
    """The compute environment that all job queues share. Unmanaged, so that it needs no network."""
    trust = {"Version": "2012-10-17", "Statement": []}
    role = IAM.create_role(RoleName="batch", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    made = BATCH.create_compute_environment(
        computeEnvironmentName="sheep", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    return made["computeEnvironmentArn"]


def queue(name, **attributes):
    url = SQS.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, SQS.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def log(group, stream, events):
    """What a log driver does."""
    for make, named in [(LOGS.create_log_group, {}), (LOGS.create_log_stream, {"logStreamName": stream})]:
        try:
            make(logGroupName=group, **named)
        except LOGS.exceptions.ResourceAlreadyExistsException:
            pass
    if events:
        LOGS.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def flock(name):
    buckets = {part: f"{name}-{part}" for part in ["inputs", "outputs", "code", "errors"]}
    for bucket in buckets.values():
        S3.create_bucket(Bucket=bucket)
    S3.put_bucket_versioning(Bucket=buckets["inputs"], VersioningConfiguration={"Status": "Enabled"})

    DYNAMODB.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "UUID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "UUID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        if name.endswith("-streamed")
        else {"StreamEnabled": False},
    )

    # Without a value: nobody has pushed any secrets yet.
    SECRETS.create_secret(Name=name)

    _, dead = queue(f"{name}-dead")
    # Few deliveries: each is waited for.
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3})
    url, arn = queue(name, VisibilityTimeout="30", RedrivePolicy=policy)

    order = [{"order": 1, "computeEnvironment": ENVIRONMENT}]
    jobs = BATCH.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    container = {"image": "payload:latest", "vcpus": 1, "memory": 128, "command": ["true"]}
    definition = BATCH.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=container
    )
    return {
        "buckets": buckets,
        "table": name,
        "queue_url": url,
        "queue_arn": arn,
        "job_queue": jobs["jobQueueArn"],
        "job_definition": definition["jobDefinitionArn"],
    }


ENVIRONMENT = environment()
for line in sys.stdin:
    asked = json.loads(line)
    if isinstance(asked, str):
        answer = flock(asked)
    elif "SecretId" in asked:
        SECRETS.put_secret_value(**asked)
        answer = {}
    elif "logEvents" in asked:
        log(asked["logGroupName"], asked["logStreamName"], asked["logEvents"])
        answer = {}
    elif "repositoryName" in asked:
        made = ECR.create_repository(repositoryName=asked["repositoryName"])
        for tag in asked["tags"]:
            kind = "application/vnd.docker.distribution.manifest.v2+json"
            manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:" + tag.rjust(64, "0")}, "layers": []}
            ECR.put_image(
                repositoryName=asked["repositoryName"], imageManifest=json.dumps(manifest), imageTag=tag
            )
        answer = made["repository"]["repositoryUri"]
    else:
        DYNAMODB.put_item(**asked)
        answer = {}
    print(json.dumps(answer), flush=True)
