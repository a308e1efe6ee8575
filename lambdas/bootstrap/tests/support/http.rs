//! A loopback HTTP server and client, just enough to be Lambda's Runtime API and to stand between the program and an
//! emulator: HTTP/1.1 over plain TCP, one thread a connection. It never leaves 127.0.0.1.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Headers = Vec<(String, String)>;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// A response as it goes. `Content-Length` and `Connection` are the server's own.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A server on a port of its own; dropping it ends the accepting.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, handler) = (stop.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let handler = handler.clone();
                std::thread::spawn(move || {
                    // A client that hangs up is no fault of the test.
                    let _ = converse(&stream, &*handler);
                });
            }
        });
        Self { address, stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(stream: &TcpStream, handler: &(dyn Fn(Request) -> Response + Send + Sync)) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some((first, headers)) = head(&mut reader)? {
        if header(&headers, "Expect").is_some() {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = body(&mut reader, &headers, false)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let without_body = method == "HEAD";
        let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
        let response = handler(request);
        let mut text = format!("HTTP/1.1 {} Said\r\n", response.status);
        for (name, value) in &response.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // The length of what a HEAD is told about is among the headers.
        if !without_body {
            text.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if !without_body {
            bytes.extend_from_slice(&response.body);
        }
        writer.write_all(&bytes)?;
    }
    Ok(())
}

/// The first line and the headers; None at the end of the stream.
fn head(reader: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let first = line.trim_end().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            None => return Ok(Some((first, headers))),
        }
    }
}

fn body(reader: &mut impl BufRead, headers: &[(String, String)], to_the_end: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if header(headers, "Transfer-Encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            reader.take(length).read_to_end(&mut bytes)?;
            line.clear();
            reader.read_line(&mut line)?;
            if length == 0 {
                return Ok(bytes);
            }
        }
    }
    match header(headers, "Content-Length").and_then(|length| length.parse::<u64>().ok()) {
        Some(length) => reader.take(length).read_to_end(&mut bytes)?,
        None if to_the_end => reader.read_to_end(&mut bytes)?,
        None => 0,
    };
    Ok(bytes)
}

/// Sends a request on a connection of its own and reads the answer.
pub fn send(to: SocketAddr, request: &Request) -> io::Result<Response> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        if !["connection", "content-length", "transfer-encoding", "expect"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", request.body.len()));
    let mut writer = &stream;
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&request.body);
    writer.write_all(&bytes)?;
    let mut reader = BufReader::new(&stream);
    let (first, headers) = head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(502);
    let body = if request.method == "HEAD" { Vec::new() } else { body(&mut reader, &headers, true)? };
    let dropped = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "connection"
            || name == "transfer-encoding"
            || (name == "content-length" && request.method != "HEAD")
    };
    let headers = headers.into_iter().filter(|(name, _)| !dropped(name)).collect();
    Ok(Response { status, headers, body })
}
