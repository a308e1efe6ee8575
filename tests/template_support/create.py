"""Makes a stack of the template on the first line of standard input, twice: with the template's defaults, and as a new flock.

Starts a MiniStack of its own on a free port of the loopback, and ends it with everything that it started. Prints one JSON object.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import boto3

NEW = {
    "InputsBucket": "new-inputs", "OutputsBucket": "new-outputs", "QuickDeployBucket": "new-quick", "ErrorsBucket": "new-errors",
    "TableName": "new-table", "SecretsManagerName": "new-secrets", "ECRRepoName": "new", "SQSName": "new-uploads",
    "ToggleEFS": "False", "ToggleLustre": "False", "NatGateways": "0", "MakeSubnetsPublic": "True",
    "AlarmEmail": "somebody@example.org", "TimeToLiveAttribute": "SHEPARD_EXPIRES", "ToggleInitialSecret": "True",
    "ToggleOldWorkerImages": "False", "ToggleInterfaceEndpoints": "True", "DaysToKeepOldVersions": "30",
    "DaysToKeepUntaggedImages": "30",
}
CODE = {"LambdaCodeBucket": "code", "LambdaCodeKey": "k.zip", "Ec2KeyPair": "mine", "ToggleLustre": "False"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make(clients, url, name, parameters):
    stacks = clients("cloudformation")
    stacks.create_stack(
        StackName=name, TemplateURL=url, Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in (CODE | parameters).items()],
    )
    while (stack := stacks.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("IN_PROGRESS"):
        time.sleep(0.2)
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
        for event in stacks.describe_stack_events(StackName=name)["StackEvents"]
        if "FAILED" in event["ResourceStatus"]
    ]
    return {
        "status": stack["StackStatus"], "failed": failed,
        "outputs": {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])},
        "resources": len(stacks.list_stack_resources(StackName=name)["StackResourceSummaries"]),
    }


def main():
    template = sys.stdin.readline()
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    ministack = subprocess.Popen(
        ["ministack"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5).close()
                break
            except OSError:
                if ministack.poll() is not None:
                    raise
                time.sleep(0.2)

        def clients(service):
            return boto3.client(
                service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
                aws_secret_access_key="test",
            )

        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("bootstrap", "")
        objects = clients("s3")
        objects.create_bucket(Bucket="code")
        objects.put_object(Bucket="code", Key="k.zip", Body=zipped.getvalue())
        objects.put_object(Bucket="code", Key="t.json", Body=template.encode())
        clients("ec2").create_key_pair(KeyName="mine")
        url = f"{endpoint}/code/t.json"
        print(json.dumps({"defaults": make(clients, url, "old", {}), "new flock": make(clients, url, "new", NEW)}), flush=True)
    finally:
        os.killpg(ministack.pid, signal.SIGKILL)
        ministack.wait()


main()
