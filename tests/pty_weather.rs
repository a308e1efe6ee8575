//! Bad weather between the console and AWS: every answer late, none at all, one service down, one that refuses for
//! being asked too fast. Keys are answered all the same, what was known stays on the screen, and nothing exits.
//!
//! A proxy on loopback stands before MiniStack. No test asserts how long anything took: that a key was answered while AWS
//! was not is told by the order of what is on the screen.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../lambdas/bootstrap/tests/support/http.rs"]
#[allow(dead_code, unreachable_pub)]
mod http;
mod pty_support;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use http::{Request, Response, Server};
use pty_support::Term;
use pty_support::meadow::{Meadow, NAME};

type Fault = Arc<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

/// What stands between.
struct Weather {
    server: Server,
    fault: Arc<Mutex<Fault>>,
}

impl Weather {
    fn over(meadow: &Meadow) -> Self {
        let fault: Arc<Mutex<Fault>> = Arc::new(Mutex::new(Arc::new(|_| None)));
        let (to, asked) = (meadow.account.address(), fault.clone());
        let server = Server::start(move |request| {
            // Not under the lock: a fault may be a long silence.
            let fault = asked.lock().unwrap().clone();
            fault(&request).unwrap_or_else(|| {
                http::send(to, &request).unwrap_or_else(|error| Response::new(502, error.to_string()))
            })
        });
        Self { server, fault }
    }

    /// From now on.
    fn becomes(&self, fault: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Arc::new(fault);
    }

    fn clears(&self) {
        self.becomes(|_| None);
    }

    fn console(&self, meadow: &Meadow) -> Term {
        let mut environment = meadow.account.environment();
        environment.push(("AWS_ENDPOINT_URL", self.server.url()));
        let more: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        meadow.world.console_with(&[], &more, (120, 30))
    }
}

/// The service that a request is signed for.
fn service(request: &Request) -> &str {
    // Credential=KEY/DATE/REGION/SERVICE/aws4_request
    request.header("Authorization").and_then(|signed| signed.split('/').nth(3)).unwrap_or_default()
}

/// A door that holds every request until it is opened.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn wait(&self) {
        let mut open = self.0.lock().unwrap();
        while !*open {
            open = self.1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

/// Keys that need nothing of AWS.
fn answers(term: &mut Term) {
    term.press("?").see("keys ·");
    term.press("<esc>").gone("keys ·");
    term.press(":jour").see("journal");
    term.press("<esc>").gone(":jour");
}

fn leaves(mut term: Term) {
    term.press(":flocks<enter>").see(NAME);
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
}

#[test]
fn while_aws_answers_nothing_and_then_late_keys_are_answered() {
    let meadow = Meadow::new();
    let weather = Weather::over(&meadow);
    let door = Arc::new(Door::default());
    let held = door.clone();
    weather.becomes(move |_| {
        held.wait();
        std::thread::sleep(Duration::from_secs(2));
        None
    });
    let mut term = weather.console(&meadow);
    term.see("flocks");
    answers(&mut term);
    term.gone(NAME);
    door.open();
    term.see(NAME);
    // Every call takes two seconds from here on, and the table is not there yet.
    term.press("<enter>");
    answers(&mut term);
    term.see("waits.zip").see("failed.zip");
    leaves(term);
}

#[test]
fn with_one_service_down_the_others_go_on_and_it_comes_back_by_itself() {
    let meadow = Meadow::new();
    let weather = Weather::over(&meadow);
    weather.becomes(|request| {
        (service(request) == "logs").then(|| {
            Response::new(500, r#"{"__type":"ServiceUnavailableException","message":"logs are down"}"#)
                .with("Content-Type", "application/x-amz-json-1.1")
        })
    });
    let mut term = weather.console(&meadow);
    term.see(NAME);
    term.press("<enter>").see("waits.zip").see("failed.zip");
    term.press("/failed<enter>").gone("waits.zip");
    term.press("l").see("logs are down");
    answers(&mut term);
    // The job beside it is as good as ever.
    term.press("<esc>").see("the payload exited with 3");
    term.press("L").see("logs are down");
    weather.clears();
    term.see("no rows at all");
    leaves(term);
}

#[test]
fn throttled_it_says_so_keeps_its_rows_and_goes_on() {
    let meadow = Meadow::new();
    let weather = Weather::over(&meadow);
    let mut term = weather.console(&meadow);
    term.see(NAME);
    term.press("<enter>").see("waits.zip");
    weather.becomes(|request| {
        (service(request) == "dynamodb").then(|| {
            let body =
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"too fast"}"#;
            Response::new(400, body).with("Content-Type", "application/x-amz-json-1.0")
        })
    });
    term.press("r").see("slowed");
    term.see("waits.zip").see("failed.zip");
    answers(&mut term);
    weather.clears();
    term.press("/failed<enter>").gone("waits.zip");
    leaves(term);
}

#[test]
fn denied_and_unreachable_are_told_apart_and_what_was_known_stays() {
    let meadow = Meadow::new();
    let weather = Weather::over(&meadow);
    let mut term = weather.console(&meadow);
    term.see(NAME);
    term.press("<enter>").see("waits.zip");
    weather.becomes(|request| {
        (service(request) == "dynamodb").then(|| {
            let body = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/me is not authorized to perform: dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:123456789012:table/meadow-table"}"#;
            Response::new(400, body).with("Content-Type", "application/x-amz-json-1.0")
        })
    });
    term.press("r").see("dynamodb:Scan is not allowed").see("waits.zip");
    answers(&mut term);
    // Nobody is there: what answers is no HTTP.
    weather.becomes(|_| Some(Response::new(502, "")));
    term.press("r");
    answers(&mut term);
    term.see("waits.zip");
    weather.clears();
    leaves(term);
}
