use shepard_model::{JobId, JobSummary, State};

use super::*;
use crate::app::store::Store;

const NOW: i64 = 10_000_000;

fn job(key: &str) -> JobSummary {
    JobSummary {
        id: JobId::of_request(key),
        input: key.to_owned(),
        tag: None,
        state: State::Succeeded,
        created_ms: NOW - 120_000,
        started_ms: Some(NOW - 100_000),
        ended_ms: Some(NOW - 40_000),
        attempts: 1,
        exit_code: Some(0),
        reason: None,
    }
}

/// Keys of those of four jobs that the line matches, by letter.
fn matched(line: &str) -> String {
    let mut store = Store::new();
    let jobs = [
        JobSummary { tag: Some("Night run".into()), ..job("a/Sample 1.zip") },
        JobSummary {
            state: State::Failed,
            exit_code: Some(137),
            attempts: 3,
            reason: Some("out of memory".into()),
            ..job("b/sample-2.zip")
        },
        JobSummary { state: State::Running, ended_ms: None, exit_code: None, ..job("c/probe_é.zip") },
        JobSummary {
            state: State::Queued,
            started_ms: None,
            ended_ms: None,
            exit_code: None,
            attempts: 0,
            created_ms: NOW - 7_200_000,
            ..job("d/12:30.zip")
        },
    ];
    let _ = store.merge(&jobs, &[]);
    let filter = Filter::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut found = String::new();
    let (mut few, mut scan) = (Scratch::new(), Scratch::for_scan());
    for (_, row) in store.iter() {
        let yes = filter.matches(&row, NOW, &mut few);
        assert_eq!(yes, filter.matches(&row, NOW, &mut scan), "{line}: a scan must agree");
        assert_eq!(yes, filter.matches(&row, NOW, &mut scan), "{line}: also the second time");
        if yes {
            found.push_str(&row.input()[..1]);
        }
    }
    found
}

#[test]
fn every_kind_of_term_matches_what_it_says() {
    for (line, expected) in [
        ("", "abcd"),
        ("sample", "ab"),
        ("Sample", "a"),
        ("sample !2", "a"),
        ("memory", "b"),
        ("night", "a"),
        ("~smpl2", "b"),
        ("!~smpl", "cd"),
        ("É", ""),
        ("é", "c"),
        ("tag:night", "a"),
        ("tag:\"Night run\"", "a"),
        ("\"Sample 1\"", "a"),
        ("key:/sample.[12]/", "ab"),
        ("/SAMPLE/", ""),
        (r"/a\/sample 1/", "a"),
        ("!/zip$/", ""),
        ("12:30", "d"),
        ("\"!\"", ""),
        ("state:fail", "b"),
        ("state:r,q", "cd"),
        ("state:fault", "b"),
        ("!state:active", "ab"),
        ("exit:137", "b"),
        ("exit:>=0", "ab"),
        ("exit:!=0", "b"),
        ("attempts:>1", "b"),
        ("attempts:<1", "d"),
        ("age:<1h", "abc"),
        ("age:>1h59m", "d"),
        ("took:>1m30s", "c"),
        ("took:1m", "abc"),
        ("reason:~oom", "b"),
        ("b/sample", "b"),
    ] {
        assert_eq!(matched(line), expected, "{line}");
    }
}

#[test]
fn an_id_is_found_by_any_part_of_it() {
    let id = JobId::of_request("a/Sample 1.zip");
    assert_eq!(matched(&format!("id:{}", &id.as_str()[5..15])), "a");
    assert_eq!(matched(&id.as_str()[..12]), "a");
}

#[test]
fn what_cannot_be_read_says_where_and_why() {
    for (line, at, part) in [
        ("ok /ab", 3, "not closed"),
        ("ok \"ab", 3, "not closed"),
        ("ok /(/", 3, "regex"),
        ("x stat:failed", 2, "no field stat"),
        ("state:nope", 6, "no state nope"),
        ("tag:", 0, "needs a value"),
        ("!", 0, "needs a term"),
        ("~", 0, "needs letters"),
        ("age:<5", 5, "not a time"),
        ("exit:x", 5, "whole number"),
        ("é took:>", 7, "not a time"),
    ] {
        let error = Filter::parse(line).expect_err(line);
        assert!(error.message.contains(part), "{line}: {error}");
        assert!(error.at <= at + 1 && error.at + 1 >= at, "{line}: {}", error.at);
    }
}

#[test]
fn the_last_good_filter_keeps_working_while_a_new_one_is_typed() {
    let mut live = LiveFilter::default();
    assert!(live.edit("state:failed"));
    assert!(!live.edit("state:failed /no"));
    assert!(live.error.is_some());
    assert_eq!(live.good.source(), "state:failed");
    assert!(live.edit("state:failed /no/"));
    assert_eq!(live.error, None);
    assert!(!live.edit("state:failed /no/ "), "a space changes nothing");
}

#[test]
fn a_filter_knows_what_it_depends_on() {
    let fields = |line: &str| Filter::parse(line).map(|filter| filter.fields());
    assert_eq!(fields("state:failed"), Ok(Fields::STATE));
    assert!(!fields("abc").expect("reads").touches(Fields::STATE));
    assert!(Filter::parse("took:>5m").expect("reads").needs_time());
    let json = serde_json::to_string(&Filter::parse("a b").expect("reads")).expect("writes");
    assert_eq!(serde_json::from_str::<Filter>(&json).expect("reads").source(), "a b");
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in "\\PC{0,40}|[!~/:\"a-e <>=0-9s]{0,20}") {
        if let Err(error) = Filter::parse(&line) {
            proptest::prop_assert!(error.at <= line.chars().count());
        }
    }
}
