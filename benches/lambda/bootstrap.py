"""Lambda's loop for the Python handler, over the same Runtime API that drives the Rust program."""

import json
import os
import urllib.request

import handler

api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as said:
        request, event = said.headers["Lambda-Runtime-Aws-Request-Id"], json.load(said)
    try:
        path, answer = "/response", handler.handler(event)
    except Exception as error:
        path, answer = "/error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(api + request + path, data=body)).close()
