//! What putting results takes: time and memory of the worker's own code against an S3 endpoint, and what deflate's levels
//! cost. `outputs.py` beside this runs it side by side with the AWS CLI.
//!
//! ```text
//! outputs put FOLDER BUCKET TAG     zips the folder into the bucket that AWS_ENDPOINT_URL serves
//! outputs levels FILE...            time and size at each level of deflate, one thread
//! ```
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use shepard_cloud::aws::{self, AwsSettings, Profile};
use shepard_cloud::ports::Buckets;
use shepard_model::{Inputs, JobId, JobRow};
use shepard_worker::{Place, outputs};
use tokio_util::sync::CancellationToken;

fn main() {
    // Cargo adds `--bench` of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["put", folder, bucket, tag] => put(folder, bucket, tag),
        ["levels", ref files @ ..] => files.iter().for_each(|file| levels(file)),
        _ => println!("outputs put FOLDER BUCKET TAG | outputs levels FILE..."),
    }
}

#[tokio::main]
async fn put(folder: &str, bucket: &str, tag: &str) {
    let name = |name: &str| name.to_owned();
    let buckets = Buckets {
        inputs: name("none"),
        outputs: name(bucket),
        quick_deploy: name("none"),
        errors: name("none"),
    };
    let settings = AwsSettings {
        buckets,
        table: name("none"),
        queue: None,
        dead_letters: None,
        jobs: None,
        keep_days: 1,
        profile: Profile::default(),
        secrets: None,
    };
    let ports = aws::connect(settings).await.ports();
    let inputs = Inputs::from_json(&format!(r#"{{"TAG": "{tag}"}}"#)).unwrap();
    let mut row = JobRow::arrived(JobId::parse("job").unwrap(), None, inputs, 0, 1);
    row.start_time_s = Some(1);
    let mut dirs = Place::local("/nowhere").dirs(&row.id);
    dirs[0].output = PathBuf::from(folder);
    let log = shepard_worker::log::Log::new(&ports, "none");
    let before = Instant::now();
    let put = outputs::put_all(&ports, &row, &dirs, &log, &CancellationToken::new()).await.unwrap();
    let seconds = before.elapsed().as_secs_f64();
    let size = ports.objects.head(&put[0]).await.unwrap().size;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!(r#"{{"seconds": {seconds:.2}, "bytes": {size}, "peak_kib": {peak}}}"#);
}

fn levels(file: &str) {
    let mut bytes = Vec::new();
    std::fs::File::open(file).unwrap().take(256 << 20).read_to_end(&mut bytes).unwrap();
    let rate = |seconds: f64| bytes.len() as f64 / 1e6 / seconds;
    let before = Instant::now();
    let mut crc = Crc::new();
    crc.update(&bytes);
    println!(
        "{file}: {} bytes; crc {:.0} MB/s ({:08x})",
        bytes.len(),
        rate(before.elapsed().as_secs_f64()),
        crc.sum()
    );
    for level in 1..=9 {
        let before = Instant::now();
        let mut encoder =
            DeflateEncoder::new(Vec::with_capacity(bytes.len() + 1024), Compression::new(level));
        for piece in bytes.chunks(128 << 10) {
            std::io::Write::write_all(&mut encoder, piece).unwrap();
        }
        let packed = encoder.finish().unwrap().len();
        let seconds = before.elapsed().as_secs_f64();
        println!(
            "  level {level}: {:.0} MB/s, {:.1} %",
            rate(seconds),
            packed as f64 * 100.0 / bytes.len() as f64
        );
    }
}
