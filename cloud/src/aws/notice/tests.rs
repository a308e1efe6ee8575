//! A metadata service on loopback, with the answers that a test gives it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Path and answer: a status, a body.
type Answers = Arc<Mutex<Vec<(&'static str, u16, &'static str)>>>;

struct Service {
    notices: SpotNotices,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Gives tokens to whoever puts for one, and 404 at every path without an answer.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (answers, asked) = (Answers::default(), Arc::new(Mutex::new(Vec::new())));
        let (given, heard) = (Arc::clone(&answers), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap_or_default().to_owned();
                heard.lock().unwrap().push(head.clone());
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let found = given.lock().unwrap().iter().find(|(known, ..)| *known == path).copied();
                let (status, body) = match found {
                    Some((_, status, body)) => (status, body),
                    None if path == "/latest/api/token" => (200, "a-token"),
                    None => (404, "<html>not found</html>"),
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { notices: SpotNotices::at(&address).unwrap(), answers, asked }
    }

    fn answer(&self, path: &'static str, status: u16, body: &'static str) {
        self.answers.lock().unwrap().insert(0, (path, status, body));
    }

    async fn kind(&self) -> Kind {
        self.notices.newest().await.unwrap_err().kind
    }
}

#[tokio::test]
async fn a_quiet_host_announces_nothing_and_is_asked_with_a_token() {
    let service = Service::start().await;
    assert_eq!(service.notices.newest().await.unwrap(), None);
    let asked = service.asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("PUT /latest/api/token "), "{}", asked[0]);
    let asked = &asked[1..];
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|head| head.contains("x-aws-ec2-metadata-token: a-token")), "{asked:?}");
}

#[tokio::test]
async fn an_interruption_says_when_and_comes_before_a_recommendation() {
    let service = Service::start().await;
    service.answer(REBALANCE, 200, r#"{"noticeTime": "2026-11-21T11:00:00Z"}"#);
    assert_eq!(service.notices.newest().await.unwrap(), Some(Notice::AtRisk));
    service.answer(ACTION, 200, r#"{"action": "terminate", "time": "2026-11-21T12:00:00Z"}"#);
    let at_ms = Some(1_795_262_400_000);
    assert_eq!(service.notices.newest().await.unwrap(), Some(Notice::Reclaimed { at_ms }));
    service.answer(ACTION, 200, r#"{"action": "stop", "time": "soon"}"#);
    assert_eq!(service.notices.newest().await.unwrap(), Some(Notice::Reclaimed { at_ms: None }));
}

#[tokio::test]
async fn what_is_no_answer_of_spots_stops_nothing() {
    let service = Service::start().await;
    for body in ["<html>welcome</html>", "", "{}", r#"{"action": 1}"#, "null"] {
        service.answer(ACTION, 200, body);
        assert_eq!(service.kind().await, Kind::Invalid, "{body}");
    }
    service.answer(ACTION, 500, "");
    assert_eq!(service.kind().await, Kind::Other);
    service.answer(ACTION, 403, "");
    assert_eq!(service.kind().await, Kind::Denied);
}

#[tokio::test]
async fn a_service_that_refuses_tokens_or_is_not_there_is_an_error() {
    let service = Service::start().await;
    service.answer("/latest/api/token", 403, "");
    assert!(service.notices.newest().await.is_err());
    // Nobody listens at a port that was just given back.
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    assert!(SpotNotices::at(&gone).unwrap().newest().await.is_err());
    assert!(SpotNotices::at("not an address").is_none());
}
