//! The two calls of Secrets Manager that the console makes, answered on loopback as the service answers them. The
//! adapter itself is proven on emulators; here it is counted what is asked, and some is not allowed.
#![allow(unreachable_pub)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

#[derive(Default)]
struct State {
    text: Option<String>,
    denies_reading: bool,
    calls: Vec<String>,
    versions: usize,
}

/// A running service; it ends with the test.
pub struct Manager {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Manager {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// What the secret holds; None: there is no secret.
    pub fn holds(&self, text: Option<String>) {
        let mut state = self.state.lock().unwrap();
        (state.text, state.denies_reading) = (text, false);
    }

    pub fn denies_reading(&self) {
        self.state.lock().unwrap().denies_reading = true;
    }

    pub fn held(&self) -> String {
        self.state.lock().unwrap().text.clone().unwrap()
    }

    /// The operations that were asked for, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Sends the SDK here.
    pub fn environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut operation, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => operation = value.trim().rsplit('.').next().unwrap().to_owned(),
                "content-length" => length = value.trim().parse().unwrap(),
                _ if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = answer(&operation, &serde_json::from_slice(&body).unwrap(), state);
        let answer = answer.to_string();
        let head = "content-type: application/x-amz-json-1.1\r\nx-amzn-requestid: r";
        let length = answer.len();
        write!(stream, "HTTP/1.1 {status} X\r\n{head}\r\ncontent-length: {length}\r\n\r\n{answer}").unwrap();
    }
}

fn answer(operation: &str, asked: &Value, state: &Mutex<State>) -> (u16, Value) {
    let mut state = state.lock().unwrap();
    state.calls.push(operation.to_owned());
    let fault = |name: &str, message: &str| (400, json!({ "__type": name, "Message": message }));
    let arn = format!("arn:of:{}", asked["SecretId"].as_str().unwrap());
    match (operation, &state.text) {
        ("GetSecretValue", _) if state.denies_reading => fault(
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: secretsmanager:GetSecretValue",
        ),
        (_, None) => fault("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        ("GetSecretValue", Some(text)) => (200, json!({ "ARN": arn, "SecretString": text })),
        ("UpdateSecret", _) => {
            state.text = Some(asked["SecretString"].as_str().unwrap().to_owned());
            state.versions += 1;
            (200, json!({ "ARN": arn, "VersionId": format!("version-{}", state.versions) }))
        }
        _ => fault("InvalidRequestException", "nobody asks for this"),
    }
}
