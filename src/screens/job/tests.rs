//! Key scripts on the job screen, and how it looks.

use shepard_model::{Outcome, Transition, Value};

use super::*;
use crate::app::Sub;
use crate::app::effect::Request;
use crate::app::msg::{Loaded, Msg};
use crate::app::overlay::Overlay;
use crate::app::remote::{Problem, ProblemKind};
use crate::screens::testing::{Console, NOW, claimed, finished, queued, rejected, running, scheduled, then};

fn at(row: &JobRow) -> Console {
    Console::new().job(row).at(Place::Job { flock: "demo".to_owned(), id: row.id.clone() })
}

/// A job that lost its first attempt to its host and failed in the second.
fn twice() -> JobRow {
    let lost = Transition::Lost {
        run: 1,
        attempt: 1,
        reason: "the worker process is gone: killed, or its host was shut down".to_owned(),
        retry: true,
        at_ms: NOW - 200_000,
    };
    let row = claimed(&then(&running("a/long/way/to/sample-0001.zip"), &lost), 2, NOW - 180_000);
    let fence = crate::screens::testing::fence(2);
    let failed = Transition::Finished {
        fence: Some(fence),
        outcome: Outcome::Failed,
        reason: Some(
            "the payload exited with 137: it was killed, most likely for lack of memory; see its log"
                .to_owned(),
        ),
        exit_code: Some(137),
        results: vec![shepard_model::ObjectRef::new("errors", format!("night_error@{}_1.zip", row.id))],
        at_ms: NOW - 60_000,
    };
    then(&row, &failed)
}

/// A job whose first attempt was interrupted, whose second could not be run there, and whose third runs in a container.
fn given_back() -> JobRow {
    let back = |attempt, interrupted, reason: &str, at_ms| Transition::GivenBack {
        fence: crate::screens::testing::fence(attempt),
        interrupted,
        reason: reason.to_owned(),
        at_ms,
    };
    let spot = back(1, true, "Spot takes the host back at 14:04:00Z", NOW - 240_000);
    let row = then(&running("samples/a.zip"), &spot);
    let row = claimed(&row, 2, NOW - 200_000);
    let full = "cannot load the image /payload.tar: no space left on device; free space on the engine's disk";
    let row = then(&row, &back(2, false, full, NOW - 190_000));
    let row = claimed(&row, 3, NOW - 100_000);
    let payload = Transition::Reached {
        fence: crate::screens::testing::fence(3),
        stage: shepard_model::Stage::Payload,
        status: None,
        detail: Some("in a container of the image sha256:0a1b2c3d4e5f, in the host's network".to_owned()),
        at_ms: NOW - 90_000,
    };
    then(&row, &payload)
}

#[test]
fn an_interrupted_attempt_reads_as_interrupted_and_not_as_failed() {
    let console = at(&given_back()).sized(120, 40);
    let overview = console.body();
    for said in ["interrupted", "Spot takes the host back", "postponed", "in a container of the image"] {
        assert!(overview.contains(said), "{said}: {overview}");
    }
    insta::assert_snapshot!("given_back_overview_120", overview);
    insta::assert_snapshot!("given_back_overview_80", at(&given_back()).body());
    let console = console.press("3");
    let attempts = console.body();
    assert!(attempts.contains("interrupted: Spot takes the host back"), "{attempts}");
    assert_ne!(console.style_of("interrupted:"), at(&twice()).sized(120, 40).press("3").style_of("137"));
    insta::assert_snapshot!("given_back_attempts_120", attempts);
    insta::assert_snapshot!("given_back_attempts_80", at(&given_back()).press("3j").body());
}

#[test]
fn what_is_given_back_is_called_by_its_cause() {
    let back = |interrupted| Transition::GivenBack {
        fence: crate::screens::testing::fence(1),
        interrupted,
        reason: "Spot takes the host back at 12:00:00Z".to_owned(),
        at_ms: NOW - 1_000,
    };
    for (interrupted, word) in [(true, "interrupted"), (false, "postponed")] {
        let row = then(&running("a.zip"), &back(interrupted));
        let body = at(&row).body();
        let line = |word: &str| body.lines().find(|line| line.contains(word)).unwrap_or_default();
        let column = |line: &str, text: &str| line.split_once(text).map(|(before, _)| before.chars().count());
        let detail = column(line(&format!(" {word} ")), "Spot takes the host");
        assert!(detail.is_some() && detail == column(line(" claimed "), "attempt 1"), "in line: {body}");
    }
}

#[test]
fn asks_for_the_row_and_reads_it_again() {
    let console = Console::new().at(Place::Job { flock: "demo".to_owned(), id: queued("a.zip").id });
    let asked = |console: &Console| {
        console.effects.iter().filter(|effect| matches!(effect, Effect::Load(Request::Job { .. }))).count()
    };
    assert_eq!(asked(&console), 1);
    assert!(console.body().contains("Reading the job"));
    assert_eq!(asked(&console.press("r")), 2);
}

#[test]
fn panes_are_chosen_by_tab_and_by_number() {
    let console = at(&finished("a.zip", Outcome::Succeeded));
    assert!(console.body().contains("[1 Overview]"));
    let console = console.press("<tab>");
    assert!(console.body().contains("[2 Environment (4)]"));
    let console = console.press("<backtab><backtab>");
    assert!(console.body().contains("[5 Row]"));
    for (key, title) in
        [("3", "[3 Attempts (1)]"), ("4", "[4 Outputs (1)]"), ("1", "[1 Overview]"), ("y", "[5 Row]")]
    {
        assert!(at(&finished("a.zip", Outcome::Failed)).press(key).body().contains(title), "{key}");
    }
}

#[test]
fn enter_opens_the_log_of_the_attempt_under_the_cursor() {
    let row = twice();
    let console = at(&row).press("3<enter>");
    assert_eq!(*console.model.nav.place(), Place::Logs { flock: "demo".to_owned(), id: row.id.clone() });
    assert!(matches!(&console.logs()[0], Sub::Log { stream, .. } if stream.ends_with("-1-1")));
    let console = at(&row).press("3j<enter>");
    assert!(matches!(&console.logs()[0], Sub::Log { stream, .. } if stream.ends_with("-1-2")));
    let console = at(&row).press("L");
    assert!(matches!(&console.logs()[0], Sub::Log { stream, .. } if stream.ends_with("-1-2")));
    assert_eq!(console.press("<esc>").model.nav.place(), at(&row).model.nav.place());
}

#[test]
fn retry_runs_at_once_or_says_why_not() {
    for (row, refused) in [
        (finished("a.zip", Outcome::Succeeded), Some("the job succeeded")),
        (running("a.zip"), Some("has not ended yet")),
        (rejected("a.zip"), Some("mend its input")),
        (finished("a.zip", Outcome::Failed), None),
    ] {
        let console = at(&row).press("R");
        match refused {
            Some(why) => {
                assert!(console.said()[0].contains(why), "{:?}", console.said());
                assert!(console.commands().is_empty());
            }
            None => {
                let retry = Command::Retry { flock: "demo".to_owned(), ids: vec![row.id] };
                assert_eq!(console.commands(), [&retry]);
            }
        }
    }
}

#[test]
fn terminate_asks_with_cancel_in_focus() {
    let row = running("a.zip");
    let console = at(&row).press("X");
    assert!(
        matches!(&console.model.overlay, Some(Overlay::Dialog(dialog)) if dialog.lines[0].contains("a.zip"))
    );
    assert!(console.press("<enter>").commands().is_empty(), "Enter alone cancels");
    let console = at(&row).press("Xy");
    assert_eq!(console.commands(), [&Command::Terminate { flock: "demo".to_owned(), ids: vec![row.id] }]);
    let console = at(&finished("a.zip", Outcome::Failed)).press("X");
    assert!(console.model.overlay.is_none());
    assert!(console.said()[0].contains("ended already"));
}

#[test]
fn results_are_fetched_where_there_are_any() {
    let row = finished("a.zip", Outcome::Succeeded);
    let console = at(&row).press("o<enter>");
    let to = "/home/ann/results".to_owned();
    let fetch = Command::Retrieve { flock: "demo".to_owned(), ids: vec![row.id.clone()], to };
    assert_eq!(console.commands(), [&fetch]);
    let console = at(&running("a.zip")).press("o");
    assert!(console.model.overlay.is_none() && console.said()[0].contains("no results yet"));
    assert_eq!(at(&row).press("c").copied(), [row.id.as_str()]);
}

#[test]
fn the_clock_is_wanted_only_while_something_counts() {
    let wants = |row: &JobRow| at(row).model.wants_tick().is_some();
    assert!(wants(&running("a.zip")) && wants(&queued("a.zip")));
    assert!(!wants(&finished("a.zip", Outcome::Failed)) && !wants(&rejected("a.zip")));
    let console = at(&running("a.zip"));
    assert!(console.body().contains("for 5m00s"), "{}", console.body());
    assert!(console.msg(Msg::Now(NOW + 60_000)).body().contains("for 6m00s"));
}

#[test]
fn a_problem_leaves_what_is_known_and_dims_it() {
    let row = finished("a.zip", Outcome::Failed);
    let console = at(&row);
    let plain = console.style_of("exit code");
    let problem = Problem::new(ProblemKind::Offline, "the disk does not answer");
    let loaded = Loaded::Job { flock: "demo".to_owned(), id: row.id.clone(), row: Err(problem) };
    let console = console.msg(Msg::Loaded(loaded));
    assert_ne!(console.style_of("exit code"), plain);
    insta::assert_snapshot!("problem_80", console.body());
    let gone = Loaded::Job { flock: "demo".to_owned(), id: row.id, row: Ok(None) };
    assert!(console.msg(Msg::Loaded(gone)).body().contains("no such job"));
}

#[test]
fn a_long_value_is_whole_where_the_cursor_is() {
    let mut row = running("a.zip");
    let long = (0..60).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    row.variables.push(("long".to_owned(), Value::String(long)));
    row.variables.push(("lines".to_owned(), Value::String("first\nsecond\u{1b}[2J".to_owned())));
    let console = at(&row).press("2");
    assert!(!console.body().contains("word59"));
    let console = console.press("jjjj");
    assert!(console.body().contains("word59"), "{}", console.body());
    insta::assert_snapshot!("environment_long_value_80", console.body());
    let console = console.press("j");
    assert!(console.body().contains("second") && !console.body().contains('\u{1b}'));
    let many = (0..300).map(|n| (format!("v{n}"), Value::Number(n.to_string()))).collect();
    let console = at(&JobRow { variables: many, ..row }).press("2G");
    assert!(console.body().contains("v299") && !console.body().contains("v100 "));
    assert!(console.press("g").body().contains("v0 "));
}

#[test]
fn texts_scroll_to_their_end_and_no_further() {
    let console = at(&twice()).press("5G");
    let end = console.body();
    assert!(end.contains("\n }\n ▲ "), "{end}");
    assert_eq!(console.press("jjj<pgdn>").body(), end);
    let console = at(&twice()).press("5GG").press("k");
    assert_ne!(console.body(), end, "and one key up is one line up");
}

#[test]
fn looks() {
    for (width, height) in [(80, 24), (120, 40)] {
        for (name, row) in [
            ("queued", queued("a.zip")),
            ("scheduled", scheduled("a.zip")),
            ("running", running("samples/a.zip")),
            ("succeeded", finished("samples/a.zip", Outcome::Succeeded)),
            ("failed", twice()),
            ("rejected", rejected("bad.zip")),
        ] {
            let panes: &[(&str, &str)] = match name {
                "queued" | "scheduled" => &[("overview", "1")],
                _ => &[
                    ("overview", "1"),
                    ("environment", "2"),
                    ("attempts", "3j"),
                    ("outputs", "4"),
                    ("row", "5"),
                ],
            };
            for (pane, key) in panes {
                let console = at(&row).sized(width, height).press(key);
                insta::assert_snapshot!(format!("{name}_{pane}_{width}"), console.body());
            }
        }
    }
    insta::assert_snapshot!("the_whole_picture_80", at(&running("samples/a.zip")).press("X").frame());
}
