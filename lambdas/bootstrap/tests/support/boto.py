"""Calls boto3 for the tests: one JSON line in, {"service", "call", "args"}, one JSON line out, {"ok"} or {"error"}.

Bytes are {"$bytes": "<base64>"} both ways. The endpoint, the region and the credentials come from the environment.
"""

import base64
import datetime
import json
import sys

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError
except ImportError:
    print(json.dumps({"error": "boto3 is missing; install it with: pip install boto3"}), flush=True)
    sys.exit(1)


def decoded(value):
    if isinstance(value, dict):
        if list(value) == ["$bytes"]:
            return base64.b64decode(value["$bytes"])
        return {key: decoded(member) for key, member in value.items()}
    return [decoded(item) for item in value] if isinstance(value, list) else value


def encoded(value):
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        return encoded(value.read())
    raise TypeError(type(value))


clients = {}
settings = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
print(json.dumps({"ok": "ready"}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    service = asked["service"]
    if service not in clients:
        clients[service] = boto3.client(service, config=settings)
    client = clients[service]
    try:
        if asked.get("pages"):
            answer = client.get_paginator(asked["call"]).paginate(**decoded(asked["args"])).build_full_result()
        else:
            answer = getattr(client, asked["call"])(**decoded(asked["args"]))
        print(json.dumps({"ok": answer}, default=encoded), flush=True)
    except ClientError as error:
        print(json.dumps({"error": error.response["Error"]["Code"] + ": " + str(error)}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
