//! The built console in a terminal: how soon it draws, what it weighs, and what it costs while nothing happens.
//! `cargo bench --bench startup -- [STARTS [IDLE_SECONDS]]`. Figures and how to read them: docs/performance.md.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it found, and one that cannot set itself up has nothing to measure"
)]

#[path = "support/pty.rs"]
mod pty;
#[path = "support/times.rs"]
mod times;

use std::path::Path;
use std::time::Duration;

use pty::{Session, Usage};
use shepard_cloud::local::{Home, Settings};
use times::Times;

/// In the footer of every frame.
const FRAME: &str = "help";
/// What the list of flocks says once it has been read.
const READ: &str = "No flock yet";

fn starts(home: &Path, times: usize) {
    let (mut byte, mut frame, mut answer) = (Times::default(), Times::default(), Times::default());
    let mut before_answer = 0;
    // The first brings the program into the page cache.
    for start in 0..=times {
        let session = Session::start(home, &[]);
        let drawn = session.until(|picture| picture.contains(FRAME));
        let early = !session.picture().contains(READ);
        let read = session.until(|picture| picture.contains(READ));
        let first = session.first_byte();
        if start > 0 {
            byte.add(first - session.started);
            frame.add(drawn - session.started);
            answer.add(read - session.started);
            before_answer += usize::from(early);
        }
        session.end();
    }
    println!("{times} starts, from before fork and exec to what the terminal has received");
    println!("    first byte                   {byte}");
    println!("    whole first frame            {frame}");
    println!("    with the list of flocks read {answer}");
    println!("    the frame was seen before that answer in {before_answer} of {times}");
}

/// The cost of starting any process at all in this way, to be held against the others.
fn nothing(home: &Path, times: usize) {
    let mut took = Times::default();
    for _ in 0..times {
        let session = Session::of("/bin/echo", home, &["help"]);
        took.add(session.until(|picture| picture.contains("help")) - session.started);
        session.end();
    }
    println!("    /bin/echo in the same terminal {took}");
}

fn idle(name: &str, session: Session, ready: &str, seconds: u64) {
    session.until(|picture| picture.contains(ready));
    std::thread::sleep(Duration::from_secs(2));
    let (before, bytes) = (Usage::of(session.pid()), session.bytes());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, written) = (Usage::of(session.pid()), session.bytes() - bytes);
    println!("{name}, idle for {seconds} s");
    println!(
        "    {:.1} MB resident, {:.1} MB at most, {:.1} MB of it its own; {} threads",
        after.resident, after.most, after.private, after.threads
    );
    println!(
        "    {written} bytes written, {} ticks, {:.2} ms on a processor, {} wakes",
        after.ticks - before.ticks,
        (after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1000.0,
        after.wakes.saturating_sub(before.wakes)
    );
    session.end();
}

fn main() {
    // `cargo test --all-targets` runs benches too, without this word and without optimisation.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let times = numbers.first().copied().unwrap_or(if whole { 100 } else { 1 });
    let seconds = numbers.get(1).copied().unwrap_or(if whole { 30 } else { 0 }) as u64;
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path();
    starts(home, times);
    nothing(home, times);
    idle("no flock", Session::start(home, &[]), READ, seconds);
    let flocks = Home::new(home.join(".local/share/shepard"));
    flocks.create(&Settings::named("empty")).unwrap();
    idle("an empty flock, in the list", Session::start(home, &[]), "empty", seconds);
    let mut session = Session::start(home, &[]);
    session.until(|picture| picture.contains("empty"));
    session.press("\r");
    idle("an empty flock, its jobs", session, "No jobs yet", seconds);
}
