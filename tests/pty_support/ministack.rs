//! An account for a person at a terminal: a MiniStack of the test's own on a free loopback port, and what a user of the
//! AWS CLI has in his home.
//!
//! Its process group ends with the test: a shell at its head reads from a pipe that the test holds.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::eventually;

/// Region of the account.
pub const REGION: &str = "us-east-1";
/// Starts MiniStack in a folder; when its input ends, everything goes.
const KEEPER: &str = r#"
dir=$1
ministack </dev/null >"$dir/log" 2>&1 &
cat >/dev/null
rm -rf "$dir"
kill -9 0
"#;

/// A running MiniStack.
pub struct Account {
    dir: PathBuf,
    port: u16,
    _keeper: Child,
}

impl Account {
    pub fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = free.unwrap().port();
        let dir = std::env::temp_dir().join(format!("shepard-pty-ministack-{}-{port}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("TMPDIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let account = Self { dir, port, _keeper: keeper };
        let endpoint = account.endpoint();
        let profile = format!(
            "[default]\nregion = {REGION}\nendpoint_url = {endpoint}\naws_access_key_id = test\n\
             aws_secret_access_key = test\n"
        );
        fs::write(account.dir.join("config"), profile).unwrap();
        fs::write(account.dir.join("lambda.zip"), program()).unwrap();
        eventually("ministack is not there; pip install ministack==1.5.33", || account.answers());
        account
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        let asked = write!(stream, "GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let mut answer = String::new();
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
    }

    /// A file of the account's folder.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What the console finds in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.dir.join(name).to_str().unwrap().to_owned();
        vec![
            ("AWS_CONFIG_FILE", path("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", path("credentials")),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("SHEPARD_LAMBDA", path("lambda.zip")),
        ]
    }

    /// Asks the account by boto3: `client` makes the clients of services. Gives what was printed.
    pub fn python(&self, script: &str) -> String {
        let client = format!(
            "import boto3\ndef client(name):\n    return boto3.client(name, endpoint_url={:?}, region_name={REGION:?}, \
             aws_access_key_id='test', aws_secret_access_key='test')\n{script}",
            self.endpoint()
        );
        let asked = Command::new("python3").args(["-c", &client]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap()
    }
}

/// A zip that Lambda takes for a program; nobody calls it.
fn program() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"#!/bin/sh\nexit 1\n").unwrap();
    zip.finish().unwrap().into_inner()
}
