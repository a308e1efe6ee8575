//! Lambda, as far as its Runtime API goes: starts the program, hands it events one at a time and takes what it answers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::{Response, Server};

/// Longest wait for anything that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One event to be handed over.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Vec<u8>,
    /// Milliseconds that the function has.
    pub budget_ms: u64,
    pub client_context: Option<String>,
}

impl Invocation {
    pub fn new(payload: impl ToString) -> Self {
        Self {
            request_id: format!("request-{}", next_number()),
            payload: payload.to_string().into_bytes(),
            budget_ms: 60_000,
            client_context: None,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Posted to `/response`.
    Response(Value),
    /// Posted to `/error`: what the caller sees as a function error.
    Error { kind: String, message: String },
    /// Posted to `/init/error`.
    InitError { kind: String, message: String },
    /// The program ended instead.
    Exited(ExitStatus),
    /// It said nothing by its deadline, and was killed for it as Lambda does.
    TimedOut,
}

impl Outcome {
    #[track_caller]
    pub fn response(self) -> Value {
        match self {
            Self::Response(value) => value,
            other => panic!("not a response: {other:?}"),
        }
    }
}

/// A running function.
pub struct Lambda {
    child: Child,
    events: SyncSender<Invocation>,
    outcomes: Receiver<Outcome>,
    ready: Receiver<()>,
    log: Arc<Mutex<String>>,
    /// When the event that it has must be answered, in milliseconds since the epoch; 0 where it has none.
    deadline_ms: Arc<AtomicU64>,
    _server: Server,
}

/// What an environment of Lambda always holds.
const GIVEN: &[(&str, &str)] = &[
    ("AWS_LAMBDA_FUNCTION_NAME", "test"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]0123456789abcdef"),
    ("AWS_REGION", super::REGION),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

impl Lambda {
    /// Starts the program with an environment of its own, as Lambda does; nothing of the test's comes in.
    pub fn start(environment: &[(String, String)]) -> Self {
        // One event is under way at a time; a second waits with its sender.
        let (events, taken) = sync_channel::<Invocation>(1);
        // An answer waits for the test to ask for it; a program that answers twice fails the second time.
        let (answer, outcomes) = sync_channel(1);
        // Full from the second `next` on, which nobody waits for.
        let (polled, ready) = sync_channel(1);
        let taken = Mutex::new(taken);
        let deadline_ms = Arc::new(AtomicU64::new(0));
        let current = deadline_ms.clone();
        let server = Server::start(move |request| {
            let _ = polled.try_send(());
            let path = request.target.trim_start_matches("/2018-06-01/runtime/");
            if path == "invocation/next" {
                let Ok(taken) = taken.try_lock() else { return Response::new(500, "two pollers") };
                let Ok(event) = taken.recv() else { return Response::new(500, "stopped") };
                let deadline = now_ms() + event.budget_ms;
                current.store(deadline, Ordering::Relaxed);
                let response = Response::new(200, event.payload)
                    .with("Content-Type", "application/json")
                    .with("Lambda-Runtime-Aws-Request-Id", event.request_id)
                    .with("Lambda-Runtime-Deadline-Ms", deadline.to_string())
                    .with(
                        "Lambda-Runtime-Invoked-Function-Arn",
                        "arn:aws:lambda:us-east-1:123456789012:function:test",
                    );
                return match event.client_context {
                    Some(context) => response.with("Lambda-Runtime-Client-Context", context),
                    None => response,
                };
            }
            let value: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            let outcome = if path == "init/error" {
                Outcome::InitError { kind: word("errorType"), message: word("errorMessage") }
            } else if path.ends_with("/error") {
                Outcome::Error { kind: word("errorType"), message: word("errorMessage") }
            } else {
                Outcome::Response(value)
            };
            current.store(0, Ordering::Relaxed);
            match answer.try_send(outcome) {
                Ok(()) => Response::new(202, ""),
                Err(_) => Response::new(400, "nobody asked"),
            }
        });
        let mut child = Command::new(program())
            .env_clear()
            .envs(GIVEN.iter().copied())
            .env("AWS_LAMBDA_RUNTIME_API", server.address.to_string())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the bootstrap starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, stderr) = (log.clone(), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = kept.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, events, outcomes, ready, log, deadline_ms, _server: server }
    }

    /// Waits for the first `next`, or for what came instead of it.
    pub fn ready(&mut self) -> Option<Outcome> {
        self.wait(|lambda| match lambda.ready.recv_timeout(Duration::from_millis(5)) {
            // A report of a failed start comes by the same way.
            Ok(()) => Some(lambda.outcomes.recv_timeout(Duration::from_millis(50)).ok()),
            Err(_) => {
                lambda.child.try_wait().expect("its status").map(|status| Some(Outcome::Exited(status)))
            }
        })
    }

    pub fn hand_over(&self, event: Invocation) {
        self.events.send(event).expect("the function takes events");
    }

    /// Waits for what the program says to the event it has.
    pub fn outcome(&mut self) -> Outcome {
        self.wait(|lambda| match lambda.outcomes.recv_timeout(Duration::from_millis(20)) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Disconnected) => panic!("the server is gone"),
            Err(RecvTimeoutError::Timeout) => {
                let deadline_ms = lambda.deadline_ms.load(Ordering::Relaxed);
                if deadline_ms > 0 && deadline_ms < now_ms() {
                    let _ = lambda.child.kill();
                    return Some(Outcome::TimedOut);
                }
                lambda.child.try_wait().expect("its status").map(Outcome::Exited)
            }
        })
    }

    pub fn invoke(&mut self, payload: impl ToString) -> Outcome {
        self.invoke_with(Invocation::new(payload))
    }

    pub fn invoke_with(&mut self, event: Invocation) -> Outcome {
        self.hand_over(event);
        self.outcome()
    }

    /// Everything the program has written to its log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }

    pub fn exit(&mut self) -> ExitStatus {
        self.wait(|lambda| {
            std::thread::sleep(Duration::from_millis(5));
            lambda.child.try_wait().expect("its status")
        })
    }

    fn wait<T>(&mut self, mut step: impl FnMut(&mut Self) -> Option<T>) -> T {
        let until = now_ms() + PATIENCE.as_millis() as u64;
        loop {
            if let Some(found) = step(self) {
                return found;
            }
            assert!(now_ms() < until, "nothing came of it; the log:\n{}", self.log());
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test: the one that cargo built beside the tests, or another build of it.
pub fn program() -> String {
    std::env::var("SHEPARD_BOOTSTRAP").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootstrap").to_owned())
}

#[expect(clippy::disallowed_methods, reason = "Lambda's deadlines are on the wall's clock")]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
