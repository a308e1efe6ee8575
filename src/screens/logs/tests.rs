//! Key scripts on the log screen, and how it looks.

use shepard_model::{LogLine, LogSource, Outcome, Transition};

use super::*;
use crate::app::effect::Command;
use crate::app::msg::Msg;
use crate::app::nav::Place;
use crate::app::remote::ProblemKind;
use crate::screens::Screen;
use crate::screens::testing::{
    Console, NOW, claimed, fence, finished, queued, rejected, running, scheduled, then,
};
use crate::ui::Role;

const START: i64 = NOW - 290_000;

fn line(n: usize, text: impl Into<String>) -> LogLine {
    let source = match n % 7 {
        3 => LogSource::Stderr,
        5 => LogSource::Worker,
        _ => LogSource::Stdout,
    };
    LogLine { at_ms: START + i64::try_from(n).expect("small") * 1_000, source, text: text.into() }
}

fn numbered(range: std::ops::Range<usize>) -> Vec<LogLine> {
    range
        .map(|n| line(n, if n % 10 == 4 { format!("ERROR step {n} failed") } else { format!("step {n}") }))
        .collect()
}

fn change(stream: &str, first: bool, lines: Vec<LogLine>) -> Msg {
    Msg::Log(LogChange { stream: stream.to_owned(), first, lines, dropped: 0, caught_up: true })
}

fn at(row: &JobRow) -> Console {
    Console::new().job(row).at(Place::Logs { flock: "demo".to_owned(), id: row.id.clone() })
}

/// A running job's log with these lines.
fn with(lines: Vec<LogLine>) -> (Console, String) {
    let row = running("a.zip");
    let stream = row.log_stream().expect("stream").to_owned();
    (at(&row).msg(change(&stream, true, lines)), stream)
}

fn screen(console: &Console) -> &Logs {
    match console.model.nav.screen() {
        Some(Screen::Logs(logs)) => logs,
        other => panic!("not the log: {other:?}"),
    }
}

/// The text under the cursor.
fn under(console: &Console) -> String {
    let logs = screen(console);
    let line = logs.view.line(&logs.shown(console.model.size)).expect("cursor");
    logs.buffer.get(line).expect("line").text.clone()
}

fn shows(console: &Console, text: &str) -> bool {
    console.body().contains(text)
}

#[test]
fn asks_for_the_newest_attempts_stream_and_for_nothing_before_there_is_one() {
    assert!(at(&queued("a.zip")).logs().is_empty());
    let row = running("a.zip");
    let wanted = |minutes, again| {
        vec![Sub::Log { flock: "demo".to_owned(), stream: format!("{}-1-1", row.id), minutes, again }]
    };
    let console = at(&row);
    assert_eq!(console.logs(), wanted(None, 0));
    let console = console.press("2");
    assert_eq!(console.logs(), wanted(Some(5), 1));
    assert_eq!(console.press("0").logs(), wanted(None, 2));
}

#[test]
fn follows_until_scrolled_up_and_counts_what_came() {
    let (console, stream) = with(numbered(0..100));
    assert_eq!(under(&console), "step 99");
    let console = console.press("kk").msg(change(&stream, false, numbered(100..314)));
    assert_eq!(under(&console), "step 97", "the reader is not moved");
    assert!(shows(&console, "▼ 214 new"), "{}", console.body());
    let console = console.press("j");
    assert_eq!(under(&console), "step 98", "down alone does not resume");
    let console = console.press("G");
    assert_eq!(under(&console), "step 313");
    assert!(!shows(&console, " new"));
    assert!(screen(&console.press("f")).view.unseen(&Buffer::default()) == 0);
}

#[test]
fn f_pauses_and_resumes() {
    let (console, stream) = with(numbered(0..100));
    let console = console.press("f").msg(change(&stream, false, numbered(100..101)));
    assert_eq!(under(&console), "step 99");
    assert!(shows(&console, "1 new"));
    assert_eq!(under(&console.press("f")), "step 100");
}

#[test]
fn pages_and_ends_are_reached() {
    let (console, _) = with(numbered(0..100));
    let console = console.press("g");
    assert_eq!(under(&console), "step 0");
    let console = console.press("<pgdn>");
    assert_eq!(under(&console), "step 20");
    let console = console.press("<pgdn><pgdn><pgdn><pgdn><pgdn>");
    assert_eq!(under(&console), "step 99");
    let console = console.press("<pgup><pgup><pgup><pgup><pgup><pgup>");
    assert_eq!(under(&console), "step 0");
    assert_eq!(under(&console.press("kkjjj")), "step 3");
}

#[test]
fn searches_as_typed_and_goes_round() {
    let (console, stream) = with(numbered(0..100));
    let console = console.press("g/fail");
    assert_eq!(under(&console), "ERROR step 4 failed");
    assert!(shows(&console, "/fail 1/10"), "{}", console.body());
    let console = console.press("ed<enter>nn");
    assert_eq!(under(&console), "ERROR step 24 failed");
    assert!(shows(&console, "3/10"));
    let console = console.press("NNN");
    assert_eq!(under(&console), "ERROR step 94 failed");
    assert!(shows(&console, "went on from the end"));
    let console = console.msg(change(&stream, false, numbered(100..110))).press("n");
    assert_eq!(under(&console), "ERROR step 104 failed", "lines that came since are searched too");
    // Escape leaves the search, and only then the screen.
    let console = console.press("<esc>");
    assert!(screen(&console).search.is_none());
    assert_eq!(under(&console), "ERROR step 104 failed");
}

#[test]
fn a_cancelled_search_goes_back_to_where_it_began() {
    let (console, _) = with(numbered(0..100));
    let console = console.press("g/fail<esc>");
    assert_eq!(under(&console), "step 0");
    assert!(screen(&console).search.is_none());
    let (console, _) = with(numbered(0..100));
    let console = console.press("/fail");
    assert_eq!(under(&console), "ERROR step 94 failed", "who follows means the newest");
    let console = console.press("<esc>");
    assert!(screen(&console).view.follow);
    let console = console.press("/fail<enter>/<ctrl-u>zzz<esc>");
    assert_eq!(screen(&console).search.as_ref().map(|search| search.typed.as_str()), Some("fail"));
}

#[test]
fn a_bad_pattern_is_said_and_nothing_is_lost() {
    let (console, _) = with(numbered(0..20));
    let console = console.press("g/~st(");
    assert!(shows(&console, "is not a regular expression"), "{}", console.body());
    let console = console.press("<enter>");
    assert!(console.said()[0].contains("not a regular expression"));
}

#[test]
fn only_matches_keep_their_place_and_come_back() {
    let (console, stream) = with(numbered(0..100));
    let console = console.press("x");
    assert!(shows(&console, "search first"));
    let console = console.press("g/fail<enter>x");
    assert!(shows(&console, "ERROR step 14 failed") && !shows(&console, " step 5\n"));
    let console = console.press("jj").msg(change(&stream, false, numbered(100..110)));
    assert_eq!(under(&console), "ERROR step 24 failed");
    let console = console.press("x");
    assert_eq!(under(&console), "ERROR step 24 failed");
    assert!(shows(&console, "│step 25"));
}

#[test]
fn a_line_taller_than_the_window_is_scrolled_through() {
    let mut lines = numbered(0..3);
    lines.push(line(3, (0..400).map(|n| format!("word{n} ")).collect::<String>()));
    lines.extend(numbered(4..50));
    let (console, _) = with(lines);
    let mut console = console.press("wgjjj");
    let mut seen = String::new();
    for _ in 0..60 {
        seen.push_str(&console.body());
        console = console.press("j");
    }
    for n in 0..400 {
        assert!(
            seen.contains(&format!("word{n} ")) || seen.contains(&format!("word{n}\n")),
            "word{n} was never shown"
        );
    }
    assert!(under(&console).starts_with("step"), "and it is left in the end");
    // Upwards as well: from below it, its end comes first.
    let console = console.press("gjjjj");
    let console = (0..40).fold(console, |console, _| console.press("j"));
    let console = (0..80).fold(console, |console, _| console.press("k"));
    assert_eq!(under(&console), "step 0");
}

#[test]
fn zoom_shows_one_line_whole_and_stays_while_the_log_goes_on() {
    let json = format!(r#"{{"level":"info","n":12345678901234567890.10,"text":"{}"}}"#, "x".repeat(200));
    let (console, stream) = with(vec![line(0, "before"), line(1, json), line(2, "after")]);
    let console = console.press("gjz").msg(change(&stream, false, numbered(3..90)));
    let body = console.body();
    assert!(body.contains("\"n\": 12345678901234567890.10,"), "{body}");
    assert!(body.contains("stdout") && !body.contains("before"), "{body}");
    let console = console.press("l");
    assert!(shows(&console, "after"));
    let console = console.press("hhhh");
    assert!(shows(&console, "line 1 ·") && shows(&console, "before"));
    let console = console.press("<esc>");
    assert!(screen(&console).zoom.is_none());
    assert_eq!(under(&console), "before");
}

#[test]
fn jumps_to_times() {
    let (console, _) = with(numbered(0..290));
    // The log begins at 14:00:40.
    let console = console.press("@14:02<enter>");
    assert_eq!(under(&console), "step 80");
    assert_eq!(under(&console.press("@-1m<enter>")), "step 229");
    let (console, _) = with(numbered(0..290));
    let console = console.press("@2026-01-31T14:01:00Z<enter>");
    assert_eq!(under(&console), "step 20");
    let console = console.press("@10:00<enter>");
    assert_eq!(under(&console), "step 0");
    assert!(shows(&console, "the log begins at 2026-01-31T14:00:40"), "{}", console.body());
    assert!(console.press("@soon<enter>").said()[0].contains("is not a time"));
}

#[test]
fn saves_and_copies() {
    let (console, stream) = with(numbered(0..10));
    let short = &stream[..8];
    let console = console.press("><enter>");
    let to = format!("/home/ann/{short}.log");
    assert_eq!(console.commands(), [&Command::SaveLog { flock: "demo".to_owned(), stream, to }]);
    assert_eq!(console.press("gjc").copied(), ["step 1"]);
    let console = at(&queued("a.zip")).press(">");
    assert!(console.commands().is_empty() && console.model.overlay.is_none());
    assert!(shows(&console, "no log to save"));
}

#[test]
fn a_newer_attempt_is_followed_and_an_older_one_can_be_chosen() {
    let row = running("a.zip");
    let first = row.log_stream().expect("stream").to_owned();
    let console = at(&row).msg(change(&first, true, numbered(0..5)));
    let lost = Transition::Lost {
        run: 1,
        attempt: 1,
        reason: "the host is gone".to_owned(),
        retry: true,
        at_ms: NOW - 20_000,
    };
    let second = claimed(&then(&row, &lost), 2, NOW - 10_000);
    let console = console.job(&second);
    assert!(matches!(&console.logs()[0], Sub::Log { stream, .. } if stream.ends_with("-1-2")));
    assert!(shows(&console, "attempt 2 has begun") && console.body().contains("attempt 2 of 2"));
    // What still comes of the first one is not mixed in.
    let console = console.msg(change(&first, false, numbered(5..6)));
    assert!(screen(&console).buffer.is_empty());
    let console = console.press("<tab>").msg(change(&first, true, numbered(0..6)));
    assert!(console.body().contains("attempt 1 of 2"));
    assert_eq!(under(&console), "step 5");

    // A reader who has stopped is told and left alone.
    let console = at(&row).msg(change(&first, true, numbered(0..90))).press("kk").job(&second);
    assert_eq!(under(&console), "step 87");
    assert!(shows(&console, "attempt 2 has begun"));
    assert!(matches!(&console.logs()[0], Sub::Log { stream, .. } if stream.ends_with("-1-1")));
}

#[test]
fn coming_back_reads_anew_without_doubling_and_keeps_the_place() {
    let (console, stream) = with(numbered(0..100));
    let row = running("a.zip");
    let console = console.press("gjjj/fail<enter>").at(Place::Job { flock: "demo".to_owned(), id: row.id });
    assert!(console.logs().is_empty(), "nobody listens to a log that nobody looks at");
    let console = console.press("-");
    assert!(matches!(console.logs()[0], Sub::Log { again: 1, .. }));
    let half = LogChange {
        stream: stream.clone(),
        first: true,
        lines: numbered(0..60),
        dropped: 0,
        caught_up: false,
    };
    let console = console.msg(Msg::Log(half));
    assert_eq!(screen(&console).buffer.end(), 100, "the old lines stay until the new ones are all there");
    let console = console.msg(change(&stream, false, numbered(60..120)));
    assert_eq!(screen(&console).buffer.end(), 120);
    assert_eq!(under(&console), "ERROR step 4 failed");
    assert_eq!(screen(&console).search.as_ref().map(Search::count), Some(12));
}

#[test]
fn a_window_of_time_keeps_the_place_by_time() {
    let (console, stream) = with(numbered(0..100));
    let console = console.press("3");
    assert!(screen(&console).buffer.is_empty());
    let console = console.msg(change(&stream, false, numbered(100..101)));
    assert!(screen(&console).buffer.is_empty(), "late news of the old feed");
    let console = console.msg(change(&stream, true, numbered(20..100))).press("kkkkk");
    assert_eq!(under(&console), "ERROR step 94 failed");
    let console = console.act(Action::Refresh).msg(change(&stream, true, numbered(50..110)));
    assert_eq!(under(&console), "ERROR step 94 failed");
}

#[test]
fn a_failed_feed_is_told_and_forgotten_when_it_goes_on() {
    let (console, stream) = with(numbered(0..50));
    let sub = console.logs().remove(0);
    let problem = Problem::new(ProblemKind::Offline, "the disk does not answer");
    let console = console.msg(Msg::FeedFailed(sub, problem));
    assert!(shows(&console, "out of date: the disk does not answer"));
    let stale = look().style(Role::Text).patch(look().style(Role::Stale));
    assert_eq!(console.style_of("step 49").add_modifier, stale.add_modifier);
    insta::assert_snapshot!("problem_80", console.body());
    assert!(!shows(&console.msg(change(&stream, false, Vec::new())), "out of date"));
}

fn look() -> Look {
    Look::default()
}

#[test]
fn sources_and_matches_differ_by_role_and_by_letter() {
    let (console, _) = with(numbered(0..8));
    let console = console.press("g/step 2<enter>");
    assert!(shows(&console, "o│step 0") && shows(&console, "E│step 3") && shows(&console, "W│step 5"));
    let current = look().style(Role::MatchCurrent);
    assert_eq!(console.style_of("step 2").bg, current.bg.or(console.style_of("step 2").bg));
    assert_ne!(console.style_of("step 2"), console.style_of("step 1"));
    assert_ne!(console.style_of("step 3"), console.style_of("step 1"));
    assert_ne!(console.style_of("step 5"), console.style_of("step 1"));
}

#[test]
fn a_foreign_line_cannot_drive_the_terminal() {
    let (console, _) = with(vec![line(0, "\u{1b}]52;c;aGk=\u{7}\u{1b}[2Jhello\u{9b}31m\u{202e}x")]);
    let body = console.press("z").body();
    assert!(body.chars().all(|c| c == '\n' || !c.is_control()), "{body:?}");
    assert!(body.contains("hello"));
}

#[test]
fn a_full_ring_says_what_is_dropped_and_draws_its_window_only() {
    let (console, stream) = with(numbered(0..buffer::LINES));
    let console = console.press("gw/fail<enter>").msg(change(&stream, false, numbered(0..70)));
    assert!(shows(&console, "70 dropped"), "{}", console.body());
    assert!(shows(&console, "of 100,000"), "{}", console.body());
}

#[test]
fn sideways_shows_what_is_cut_off_and_stops_at_its_end() {
    let (console, _) = with(vec![line(0, format!("{}END", "=".repeat(150)))]);
    assert!(shows(&console, "›") && !shows(&console, "END"));
    let console = (0..40).fold(console, |console, _| console.press("l"));
    assert!(shows(&console, "END") && shows(&console, "‹"));
    let console = (0..40).fold(console, |console, _| console.press("h"));
    assert!(!shows(&console, "END"));
}

fn mixed() -> Vec<LogLine> {
    let mut lines = numbered(0..30);
    lines.push(line(
        30,
        r#"{"level":"error","code":3,"where":{"file":"load.py","line":12},"msg":"the input has no rows"}"#,
    ));
    lines.push(line(31, format!("Traceback {}", "very long line that goes on ".repeat(8))));
    lines.push(line(33, "worker: the payload exited with 3"));
    lines
}

#[test]
fn looks() {
    for (width, height) in [(80, 24), (120, 40)] {
        let console = || {
            let (console, stream) = with(mixed());
            (console.sized(width, height), stream)
        };
        let snap = |name: &str, console: &Console| {
            insta::assert_snapshot!(format!("{name}_{width}"), console.body());
        };
        let (following, _) = console();
        snap("following", &following);
        let (paused, stream) = console();
        let paused = paused.press("kkkk").msg(change(&stream, false, numbered(34..60)));
        snap("paused_with_new_lines", &paused);
        let (search, _) = console();
        snap("search", &search.press("g/err<enter>n"));
        let (only, _) = console();
        snap("matches_only", &only.press("g/err<enter>x"));
        let (wrap, _) = console();
        snap("wrap", &wrap.press("wt"));
        let (pretty, _) = console();
        snap("wrap_and_pretty", &pretty.press("wpkk"));
        let (zoom, _) = console();
        snap("zoom", &zoom.press("kkz"));
    }
}

#[test]
fn says_why_there_is_nothing() {
    let row = queued("a.zip");
    let cancelled = then(&row, &Transition::CancelRequested { by: "ann@host".to_owned(), at_ms: NOW });
    let running = running("a.zip");
    let stream = running.log_stream().expect("stream").to_owned();
    let failed = finished("a.zip", Outcome::Failed);
    let unread = Console::new().at(Place::Logs { flock: "demo".to_owned(), id: row.id.clone() });
    let lost = Transition::Lost {
        run: 1,
        attempt: 1,
        reason: "the host went away before a worker began".to_owned(),
        retry: false,
        at_ms: NOW,
    };
    let mut said = Vec::new();
    for (name, console) in [
        ("unread", unread),
        ("queued", at(&row)),
        ("scheduled", at(&scheduled("a.zip"))),
        ("rejected", at(&rejected("bad.zip"))),
        ("cancelled", at(&cancelled)),
        ("lost", at(&then(&scheduled("a.zip"), &lost))),
        ("reading", at(&running)),
        ("silent", at(&running).msg(change(&stream, true, Vec::new()))),
        ("failed", at(&failed).msg(change(&stream, true, Vec::new()))),
        ("no match", with(numbered(0..3)).0.press("/zzz<enter>x")),
    ] {
        let body: Vec<String> =
            console.body().lines().map(str::to_owned).filter(|line| !line.is_empty()).collect();
        said.push(format!("{name}: {}", body.join("\n    ")));
    }
    insta::assert_snapshot!("empty_80", said.join("\n"));
    assert_eq!(fence(1).attempt, 1);
}

#[test]
fn the_whole_picture() {
    let (console, _) = with(mixed());
    insta::assert_snapshot!("typing_a_search_80", console.press("g/ERR").frame());
}
