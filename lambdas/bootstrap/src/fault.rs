//! What Lambda is told when the function cannot start or an invocation fails.
//!
//! It reaches the caller, the log and perhaps an alarm, so it holds ids, names of ours and reasons: never a word of a
//! user's.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lambda_runtime::Diagnostic;
use shepard_cloud::CloudError;

/// A function error: `errorType` and `errorMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `Shepard.` and a word for programs to go by.
    pub(crate) kind: String,
    /// A sentence for people.
    pub(crate) message: String,
}

impl Fault {
    /// A fault of this program's.
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: format!("Shepard.{kind}"), message: message.into() }
    }
}

impl From<CloudError> for Fault {
    fn from(error: CloudError) -> Self {
        Self::new(&format!("Cloud.{}", error.kind.word()), error.to_string())
    }
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        Self { error_type: fault.kind, error_message: fault.message }
    }
}

/// How long Lambda may take to take a report; it is on this machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells Lambda that the function cannot start. Then the process has to end.
///
/// By hand, because the runtime's crate reports no other faults than its own, and this is one request that has nothing
/// to wait for.
///
/// # Errors
/// Lambda cannot be reached, or there is none.
pub(crate) fn report_failed_start(api: &str, fault: &Fault) -> io::Result<()> {
    let body = serde_json::to_vec(&Diagnostic::from(fault.clone()))?;
    let mut stream = TcpStream::connect(api)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {api}\r\nContent-Type: application/json\r\n\
         Lambda-Runtime-Function-Error-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        fault.kind,
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    // The answer says nothing, but it must have begun before the process ends.
    let mut first = [0];
    stream.read_exact(&mut first)
}
