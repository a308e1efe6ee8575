//! A loopback proxy between the program and an emulator: it keeps what was asked, and answers in AWS's own words
//! where a test wants trouble. The words are those of the services' API references.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::emulator::Emulator;
use super::http::{self, Request, Response, Server};

type Fault = Arc<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

/// The proxy.
pub struct Gate {
    server: Server,
    fault: Arc<Mutex<Fault>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Gate {
    pub fn before(emulator: &Emulator) -> Self {
        let (fault, seen): (Arc<Mutex<Fault>>, Arc<Mutex<Vec<Request>>>) =
            (Arc::new(Mutex::new(Arc::new(|_| None))), Arc::default());
        let (to, asked, kept) = (emulator.address, fault.clone(), seen.clone());
        let server = Server::start(move |request| {
            kept.lock().expect("the list").push(request.clone());
            // Not under the lock: a fault may be a long silence.
            let fault = asked.lock().expect("the fault").clone();
            if let Some(trouble) = fault(&request) {
                return trouble;
            }
            http::send(to, &request).unwrap_or_else(|error| Response::new(502, error.to_string()))
        });
        Self { server, fault, seen }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on, what `fault` answers is the answer; what it leaves goes through.
    pub fn fail(&self, fault: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) {
        *self.fault.lock().expect("the fault") = Arc::new(fault);
    }

    pub fn heal(&self) {
        self.fail(|_| None);
    }

    /// How many requests were of an operation.
    pub fn count(&self, is: fn(&Request) -> bool) -> usize {
        self.seen.lock().expect("the list").iter().filter(|request| is(request)).count()
    }

    /// The bodies of the SubmitJob requests so far, refused ones included.
    pub fn submissions(&self) -> Vec<Value> {
        let seen = self.seen.lock().expect("the list");
        seen.iter()
            .filter(|request| is_submit(request))
            .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
            .collect()
    }
}

pub fn is_submit(request: &Request) -> bool {
    request.target.starts_with("/v1/submitjob")
}

pub fn is_put_item(request: &Request) -> bool {
    request.header("X-Amz-Target").is_some_and(|target| target.ends_with(".PutItem"))
}

/// S3 reads an upload: path-style, and not one of ours.
pub fn is_get_upload(request: &Request) -> bool {
    request.method == "GET"
        && request.header("X-Amz-Target").is_none()
        && request.target.starts_with("/shepard-trigger/")
        && !request.target.contains(".shepard/")
}

/// Whether the environment of a submission, as a map, has this pair.
pub fn has(submission: &Value, name: &str, value: &str) -> bool {
    let pairs = submission["containerOverrides"]["environment"].as_array();
    pairs.is_some_and(|pairs| pairs.contains(&json!({ "name": name, "value": value })))
}

pub fn access_denied() -> Response {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>User: \
        arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: s3:GetObject</Message>\
        <RequestId>656c76696e6727732072657175657374</RequestId><HostId>h</HostId></Error>";
    Response::new(403, body).with("Content-Type", "application/xml")
}

pub fn table_throttled() -> Response {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "message": "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling \
            your table or index so please try again shortly.",
    });
    Response::new(400, body.to_string()).with("Content-Type", "application/x-amz-json-1.0")
}

pub fn too_many_requests() -> Response {
    let body = json!({ "message": "Too Many Requests" });
    Response::new(429, body.to_string())
        .with("Content-Type", "application/json")
        .with("x-amzn-ErrorType", "TooManyRequestsException")
}
