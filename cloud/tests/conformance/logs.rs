//! Logs: every line once and in order, from wherever the reader begins.

use shepard_cloud::Kind;
use shepard_cloud::ports::{LogFrom, LogLine, LogPage, LogSource};

use crate::Subject;

const STREAM: &str = "0123456789abcdef0123456789abcdef-1-1";

fn line(at_ms: i64, text: &str) -> LogLine {
    LogLine { at_ms, source: LogSource::Stdout, text: text.to_owned() }
}

/// Lines a second apart, from the subject's now.
fn numbered(subject: &Subject, count: i64) -> Vec<LogLine> {
    let now = subject.ports.clock.now_ms();
    (0..count).map(|n| line(now + n * 1000, &format!("line {n}"))).collect()
}

async fn append(subject: &Subject, lines: &[LogLine]) {
    subject.ports.logs.append(STREAM, lines).await.expect("append");
}

async fn read(subject: &Subject, from: LogFrom, limit: usize) -> LogPage {
    subject.ports.logs.read(STREAM, &from, limit).await.expect("read")
}

/// Reads on from a token until there is no more for now.
async fn rest(subject: &Subject, mut from: LogFrom, limit: usize) -> (Vec<LogLine>, LogFrom) {
    let mut lines = Vec::new();
    loop {
        let page = read(subject, from, limit).await;
        assert!(page.lines.len() <= limit);
        lines.extend(page.lines);
        from = LogFrom::Token(page.next);
        if !page.more {
            return (lines, from);
        }
    }
}

pub(crate) async fn a_stream_that_is_not_there(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    for from in [LogFrom::Start, LogFrom::Tail(5), LogFrom::Since(0)] {
        let page = read(&subject, from, 10).await;
        assert!(page.lines.is_empty() && !page.more);
        // What is written later is read from where the empty page ended.
        let again = read(&subject, LogFrom::Token(page.next), 10).await;
        assert!(again.lines.is_empty());
    }
    let token = LogFrom::Token(read(&subject, LogFrom::Start, 10).await.next);
    let lines = numbered(&subject, 3);
    append(&subject, &lines).await;
    assert_eq!(rest(&subject, token, 10).await.0, lines);
    let error = subject.ports.logs.read(STREAM, &LogFrom::Token("no token".into()), 1).await;
    assert_eq!(error.expect_err("refused").kind, Kind::Invalid);
}

pub(crate) async fn what_can_name_no_stream(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let lines = numbered(&subject, 3);
    for bad in ["", "..", "../x", "a/b", "a b", "ä"] {
        let error = subject.ports.logs.append(bad, &lines).await.expect_err("refused");
        assert_eq!(error.kind, Kind::Invalid, "{bad:?}: {error}");
    }
}

pub(crate) async fn pages_and_tokens(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let lines = numbered(&subject, 100);
    append(&subject, &lines[..60]).await;
    let (first, token) = rest(&subject, LogFrom::Start, 7).await;
    assert_eq!(first, lines[..60]);
    // At the end: nothing, and the next token is as good.
    let (none, token) = rest(&subject, token, 7).await;
    assert_eq!(none, []);
    append(&subject, &lines[60..61]).await;
    append(&subject, &[]).await;
    append(&subject, &lines[61..]).await;
    let (second, _) = rest(&subject, token.clone(), 1).await;
    assert_eq!(second, lines[60..]);
    // A token may be used twice.
    assert_eq!(rest(&subject, token, 1000).await.0, lines[60..]);
}

pub(crate) async fn tail_and_since(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let lines = numbered(&subject, 200);
    append(&subject, &lines).await;
    for (tail, from) in [(0, 200), (1, 199), (50, 150), (200, 0), (1000, 0)] {
        let (tailed, token) = rest(&subject, LogFrom::Tail(tail), 30).await;
        assert_eq!(tailed, lines[from..], "{tail}");
        assert_eq!(rest(&subject, token, 30).await.0, [], "{tail}");
    }
    let began = lines[0].at_ms;
    for (since, from) in
        [(began - 1, 0), (began, 0), (began + 1, 1), (began + 150_000, 150), (began + 199_001, 200)]
    {
        assert_eq!(rest(&subject, LogFrom::Since(since), 30).await.0, lines[from..], "{since}");
    }
}

/// Whoever looks again and again at a log that has not ended is given each line once, whatever the adapter reads again.
pub(crate) async fn a_quiet_log_is_looked_at_for_long(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let now = subject.ports.clock.now_ms();
    let sources = [LogSource::Stdout, LogSource::Stderr, LogSource::Worker];
    // Many of one moment, and many that are the same.
    let written = |n: i64| LogLine {
        at_ms: now + n / 50,
        source: sources[usize::try_from(n % 3).expect("small")],
        text: format!("line {}", n % 10),
    };
    let (mut wanted, mut seen, mut from) = (Vec::new(), Vec::new(), LogFrom::Start);
    for round in 0..40 {
        if round % 13 == 0 {
            let lines: Vec<_> = (0..150).map(|n| written(round * 150 + n)).collect();
            append(&subject, &lines).await;
            wanted.extend(lines);
        }
        let (lines, next) = rest(&subject, from, 1_000).await;
        seen.extend(lines);
        from = next;
    }
    assert_eq!(seen, wanted);
}

pub(crate) async fn odd_lines(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let now = subject.ports.clock.now_ms();
    let long = "long é ".repeat(200_000);
    let texts = [
        "",
        " ",
        "  two spaces",
        "tab\tand\rreturn\r",
        "\u{1b}[31mred",
        "ü\u{10ffff}",
        "1 o x",
        &long,
        "last",
    ];
    let sources = [LogSource::Stdout, LogSource::Stderr, LogSource::Worker];
    let lines: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| LogLine { at_ms: now, source: sources[n % 3], text: (*text).to_owned() })
        .collect();
    append(&subject, &lines).await;
    assert!(rest(&subject, LogFrom::Start, 2).await.0 == lines);

    // The end of a line inside a line never makes another line of it.
    append(&subject, &[line(now, "one\ntwo\n"), line(now, "three")]).await;
    let (last, _) = rest(&subject, LogFrom::Tail(2), 10).await;
    assert_eq!(last.len(), 2);
    assert!(last[0].text.contains("one") && last[0].text.contains("two"), "{:?}", last[0]);
    assert_eq!(last[1].text, "three");
}

pub(crate) async fn streams_are_apart(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let now = subject.ports.clock.now_ms();
    let name = |n: usize| format!("{}-1-{}", "ab".repeat(16), n + 1);
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let (logs, stream) = (std::sync::Arc::clone(&subject.ports.logs), name(n));
            tokio::spawn(async move {
                for step in 0..20 {
                    let lines = [line(now, &format!("{n} {step} a")), line(now, &format!("{n} {step} b"))];
                    logs.append(&stream, &lines).await.expect("append");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("join");
    }
    for n in 0..8 {
        let page = subject.ports.logs.read(&name(n), &LogFrom::Start, 100).await.expect("read");
        let wanted: Vec<_> =
            (0..20).flat_map(|step| ["a", "b"].map(|part| format!("{n} {step} {part}"))).collect();
        assert_eq!(page.lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), wanted);
    }
}
