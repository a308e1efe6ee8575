//! The file format, torn and malformed lines, long ones, and tokens over any split of writes and reads.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn line(at_ms: i64, text: &str) -> LogLine {
    LogLine { at_ms, source: LogSource::Stdout, text: text.to_owned() }
}

fn texts(page: &LogPage) -> Vec<&str> {
    page.lines.iter().map(|line| line.text.as_str()).collect()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("temp");
    let path = temp.path().join("ab/abc-1-1.log");
    (temp, path)
}

#[test]
fn the_file_is_what_a_person_would_expect() {
    let (_temp, path) = place();
    let lines = [
        line(1, "a b"),
        LogLine { source: LogSource::Stderr, ..line(2, "") },
        LogLine { source: LogSource::Worker, ..line(-3, "x\ny\r") },
    ];
    append(&path, &encode(&lines)).expect("append");
    assert_eq!(fs::read_to_string(&path).expect("read"), "1 o a b\n2 e \n-3 w x␤y\r\n");
    let page = read(&path, &LogFrom::Start, 10).expect("read");
    assert_eq!(page.lines[..2], lines[..2]);
    assert_eq!(page.lines[2].text, "x␤y\r");
    assert_eq!((page.next.as_str(), page.more), ("25", false));
}

#[test]
fn a_torn_line_waits_and_a_malformed_one_is_shown() {
    let (_temp, path) = place();
    append(&path, &encode(&[line(7, "whole")])).expect("append");
    fs::write(&path, [&fs::read(&path).expect("read")[..], b"8 o to\xffr"].concat()).expect("write");
    let page = read(&path, &LogFrom::Start, 10).expect("read");
    assert_eq!((texts(&page), page.more), (vec!["whole"], false));
    assert_eq!(texts(&read(&path, &LogFrom::Tail(1), 10).expect("read")), ["whole"]);

    append(&path, &encode(&[line(9, "next")])).expect("append");
    let rest = read(&path, &LogFrom::Token(page.next), 10).expect("read");
    assert_eq!(texts(&rest), ["to\u{fffd}r", "next"], "the torn line was ended, and the next one is its own");

    for odd in ["", "nonsense", "12", "12 o", "12 x y", " o x", "99999999999999999999 o x", "12  o x"] {
        fs::write(&path, format!("5 e before\n{odd}\n")).expect("write");
        let page = read(&path, &LogFrom::Start, 10).expect("read");
        let shown = LogLine { at_ms: 5, source: LogSource::Worker, text: odd.to_owned() };
        assert_eq!(page.lines[1..], [shown]);
    }
}

#[test]
fn a_log_that_was_replaced_by_a_shorter_one_is_read_from_its_end() {
    let (_temp, path) = place();
    append(&path, &encode(&[line(1, "a")])).expect("append");
    let page = read(&path, &LogFrom::Token("99".into()), 10).expect("read");
    assert_eq!((page.lines.len(), page.next.as_str(), page.more), (0, "6", false));
}

#[test]
fn lines_longer_than_a_block_are_whole_from_every_side() {
    let (_temp, path) = place();
    let long = "é".repeat(700_000);
    let lines = [line(1, "first"), line(2, &long), line(3, &long), line(4, "last")];
    append(&path, &encode(&lines)).expect("append");
    assert_eq!(read(&path, &LogFrom::Start, 10).expect("read").lines, lines);
    for (count, wanted) in [(1, &lines[3..]), (2, &lines[2..]), (4, &lines[..]), (9, &lines[..])] {
        assert_eq!(read(&path, &LogFrom::Tail(count), 10).expect("read").lines, wanted);
    }
    for since in 1..=4_usize {
        let at = LogFrom::Since(i64::try_from(since).expect("small"));
        assert_eq!(read(&path, &at, 10).expect("read").lines, lines[since - 1..]);
    }
    assert!(read(&path, &LogFrom::Since(5), 10).expect("read").lines.is_empty());
}

#[test]
fn a_page_is_bounded_in_bytes_too() {
    let (_temp, path) = place();
    let lines: Vec<_> = (0..20).map(|at| line(at, &"x".repeat(500_000))).collect();
    append(&path, &encode(&lines)).expect("append");
    let (mut from, mut pages, mut seen) = (LogFrom::Start, 0, Vec::new());
    loop {
        let page = read(&path, &from, 100).expect("read");
        assert!(!page.lines.is_empty() && page.lines.len() < 10, "{}", page.lines.len());
        pages += 1;
        seen.extend(page.lines);
        if !page.more {
            break;
        }
        from = LogFrom::Token(page.next);
    }
    assert_eq!((pages, seen == lines), (3, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Batches of lines, and before each how many lines a reader takes: every line comes once and in order.
    #[test]
    fn any_split_of_writes_and_reads_delivers_every_line_once(
        batches in proptest::collection::vec(
            (proptest::collection::vec("[a-zé \r]{0,12}|x{40,90000}", 0..5), 0..4_usize, any::<bool>()), 0..12),
    ) {
        let (_temp, path) = place();
        let (mut written, mut seen) = (Vec::new(), Vec::new());
        let mut from = LogFrom::Start;
        for (batch, limit, twice) in &batches {
            let lines: Vec<_> = batch.iter().map(|text| line(written.len() as i64, text)).collect();
            written.extend(lines.iter().cloned());
            if *twice {
                for line in &lines {
                    append(&path, &encode(std::slice::from_ref(line))).expect("append");
                }
            } else {
                append(&path, &encode(&lines)).expect("append");
            }
            let page = read(&path, &from, *limit).expect("read");
            prop_assert!(page.lines.len() <= *limit);
            seen.extend(page.lines);
            prop_assert_eq!(page.more, seen.len() < written.len());
            from = LogFrom::Token(page.next);
        }
        let rest = read(&path, &from, usize::MAX).expect("read");
        seen.extend(rest.lines);
        prop_assert_eq!(seen, written);
    }

    /// What the search by time finds is what a reader of the whole file would.
    #[test]
    fn since_finds_the_first_line_late_enough(
        // Many lines of one time, for it is the first of them that is wanted.
        steps in proptest::collection::vec(
            (prop_oneof![9 => Just(0), 1 => 1..3_i64], 0..3000_usize, any::<bool>()), 1..300),
        since in -1..50_i64,
    ) {
        let (_temp, path) = place();
        let mut at_ms = 0;
        let mut file = Vec::new();
        let mut wanted = None;
        for (step, length, malformed) in steps {
            at_ms += step;
            if malformed && length % 5 == 0 {
                file.extend_from_slice(b"odd line\n");
            }
            if at_ms >= since && wanted.is_none() {
                wanted = Some(file.len());
            }
            file.extend_from_slice(format!("{at_ms} o {}\n", "x".repeat(length)).as_bytes());
        }
        let wanted = wanted.unwrap_or(file.len());
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(&path, &file).expect("write");
        let opened = File::open(&path).expect("open");
        let reader = reader::Reader::new(&opened, file.len() as u64).expect("reader");
        prop_assert_eq!(reader.since(since).expect("since"), wanted as u64);
    }
}
