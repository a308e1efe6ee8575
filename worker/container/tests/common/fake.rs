//! An engine that answers as a test says, on a socket of its own: for what a real one does not do when asked to.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shepard_cloud::ports::Clock;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// A request, as far as tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the version in front.
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.starts_with(path)
    }
}

/// What is answered.
pub(crate) enum Answer {
    /// A status and JSON.
    Json(u16, String),
    /// The connection becomes a stream of frames: of which stream, and what; then it is closed, or held open.
    Frames(Vec<(u8, &'static str)>, bool),
    /// Nothing, and the connection is closed.
    Gone,
    /// Nothing, ever.
    Never,
}

impl Answer {
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::Json(status, serde_json::json!({ "message": message }).to_string())
    }

    pub(crate) fn in_stream(message: &str) -> Self {
        let error = serde_json::json!({"errorDetail": {"message": message}, "error": message});
        Self::Json(200, format!("{{\"status\":\"Pulling\"}}\n{error}\n"))
    }
}

/// The engine, for as long as this lives, and everything it was asked.
pub(crate) struct Fake {
    pub(crate) asked: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    /// Listens at `socket`. `answer` gets the request and how many like it came before, by method and path.
    pub(crate) fn listen(
        socket: &Path,
        answer: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::<Request>::new())), Arc::new(answer));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let _ = serve(stream, &log, answer.as_ref()).await;
                });
            }
        });
        Self { asked, task }
    }

    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|request| request.is(method, path)).count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: UnixStream,
    log: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request, usize) -> Option<Answer> + Send + Sync),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let before = {
            let mut log = log.lock().unwrap();
            let before = log.iter().filter(|known| known.is(&request.method, &request.path)).count();
            log.push(request.clone());
            before
        };
        let said = answer(&request, before).unwrap_or_else(|| usual(&request));
        match said {
            Answer::Gone => return Ok(()),
            Answer::Never => std::future::pending().await,
            Answer::Json(status, text) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    if status == 204 { 0 } else { text.len() }
                );
                stream.write_all(head.as_bytes()).await?;
                if status != 204 {
                    stream.write_all(text.as_bytes()).await?;
                }
            }
            Answer::Frames(frames, held) => {
                stream
                    .write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                    .await?;
                for (kind, text) in frames {
                    let mut head = [kind, 0, 0, 0, 0, 0, 0, 0];
                    head[4..].copy_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                    stream.write_all(&head).await?;
                    stream.write_all(text.as_bytes()).await?;
                }
                stream.flush().await?;
                if held {
                    std::future::pending::<()>().await;
                }
                return Ok(());
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

/// A request with its body, read as far as it goes.
async fn read(stream: &mut BufReader<UnixStream>) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default();
    let path = if path.starts_with("/v1.") {
        path.splitn(3, '/').nth(2).map(|rest| format!("/{rest}"))
    } else {
        None
    }
    .unwrap_or_else(|| path.to_owned());
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == "\r\n" {
            break;
        }
        headers.push_str(&line.to_ascii_lowercase());
    }
    let length =
        headers.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    if headers.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Ok(Some(Request { method, path, headers, body }))
}

/// An engine that has the image `there:1` and runs everything to a good end.
fn usual(request: &Request) -> Answer {
    let json = |text: &str| Answer::Json(200, text.to_owned());
    let arch = shepard_testkit::image::architecture();
    if request.is("GET", "/version") {
        json(&format!(r#"{{"ApiVersion":"1.41","Version":"0","Arch":"{arch}","Os":"linux"}}"#))
    } else if request.is("GET", "/info") {
        json(r#"{"NCPU":2,"SecurityOptions":[]}"#)
    } else if request.is("GET", "/images/") && request.path.contains("there") {
        json(&format!(r#"{{"Id":"sha256:1","Os":"linux","Architecture":"{arch}","Config":{{"Cmd":["x"]}}}}"#))
    } else if request.is("POST", "/containers/create") {
        Answer::Json(201, r#"{"Id":"c1","Warnings":[]}"#.to_owned())
    } else if request.is("POST", "/containers/c1/attach") {
        Answer::Frames(vec![(1, "hello\n")], false)
    } else if request.is("POST", "/containers/c1/wait") {
        json(r#"{"StatusCode":0}"#)
    } else if request.is("GET", "/containers/c1/json") {
        json(r#"{"Id":"c1","State":{"Running":false,"ExitCode":0,"OOMKilled":false}}"#)
    } else if request.is("GET", "/") {
        Answer::error(404, "No such thing")
    } else {
        Answer::Json(204, String::new())
    }
}

/// A clock on which nothing takes long; it counts what was slept.
#[derive(Default)]
pub(crate) struct Hasty {
    pub(crate) slept: Mutex<Vec<u64>>,
}

#[async_trait]
impl Clock for Hasty {
    fn now_ms(&self) -> i64 {
        0
    }

    async fn sleep_ms(&self, duration_ms: u64) {
        self.slept.lock().unwrap().push(duration_ms);
        tokio::time::sleep(std::time::Duration::from_millis(duration_ms / 500)).await;
    }
}
