//! An engine that goes away while it is sent an image: the call ends, and says so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use shepard_engine::{Engine, Kind, Wrap, WrapPayload};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Answers the first request as an engine does; of the second it reads a part, says `answer`, and hangs up.
fn engine(listener: UnixListener, answer: &'static [u8]) {
    std::thread::spawn(move || {
        for number in 0..2 {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut bytes = vec![0; 100_000];
            let _ = stream.read(&mut bytes);
            if number == 0 {
                let pong = b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\n\r\nOK";
                let _ = stream.write_all(pong);
            } else {
                let _ = stream.write_all(answer);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                // What was said is read before the pipe breaks: which of the two comes first is not the test.
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
        }
    });
}

async fn wrapped(answer: &'static [u8]) -> shepard_engine::EngineError {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    engine(UnixListener::bind(&socket).unwrap(), answer);
    // The headers of a static program, and nothing that could run.
    let mut worker = vec![0; 64];
    worker[..6].copy_from_slice(b"\x7fELF\x02\x01");
    worker[0x12] = 62;
    std::fs::write(dir.path().join("worker"), worker).unwrap();
    std::fs::write(dir.path().join("payload.tar"), vec![1; 16 << 20]).unwrap();
    let engine = Engine::connect(Some(&format!("unix://{}", socket.display()))).await.unwrap();
    let wrap = Wrap {
        worker: dir.path().join("worker"),
        payload: WrapPayload::Nested { tar: dir.path().join("payload.tar"), id: DIGEST.to_owned() },
        labels: BTreeMap::new(),
        tag: "x:y".to_owned(),
    };
    engine.wrap(&wrap, |_, _| {}).await.unwrap_err()
}

#[tokio::test]
async fn an_engine_that_hangs_up_is_unreachable() {
    let error = wrapped(b"").await;
    assert_eq!(error.kind, Kind::Unreachable, "{error}");
}

#[tokio::test]
async fn what_an_engine_says_before_it_hangs_up_is_what_counts() {
    let error = wrapped(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
          {\"errorDetail\":{\"message\":\"write /x: no space left on device\"},\"error\":\"write\"}\r\n",
    )
    .await;
    assert_eq!(error.kind, Kind::Full, "{error}");
}
