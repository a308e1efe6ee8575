//! Pictures of whole frames: what is around a screen, the screen, and what lies over both, at three sizes.

use insta::assert_snapshot;
use shepard_model::{Isolation, Outcome};

use super::testing::{Console, NOW, finished, queued, rejected, running, scheduled};
use crate::app::model::History;
use crate::app::msg::{Done, FlockRow, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::{Action, Sub};
use crate::ui::{ColorDepth, Look, Theme};

const SMALL: (u16, u16) = (80, 24);
const USUAL: (u16, u16) = (120, 40);
const LARGE: (u16, u16) = (200, 60);

/// Draws a console that is made for a size, at each of these sizes.
fn frames(name: &str, sizes: &[(u16, u16)], make: impl Fn(Console) -> Console) {
    for (width, height) in sizes {
        let console = make(Console::new().sized(*width, *height));
        assert_snapshot!(format!("{name}_{width}"), console.frame());
    }
}

fn flocks() -> Vec<FlockRow> {
    let flock = |name: &str, counts: [u64; 7], payload: &str| FlockRow {
        name: name.to_owned(),
        running: counts[..3].iter().sum::<u64>() > 0,
        pid: Some(4_321),
        counts,
        max_jobs: 4,
        payload: payload.to_owned(),
        places: vec![
            ("inputs".to_owned(), format!("/home/ann/.local/share/shepard/flocks/{name}/inputs")),
            ("outputs".to_owned(), format!("/home/ann/.local/share/shepard/flocks/{name}/outputs")),
        ],
        ..FlockRow::default()
    };
    vec![
        flock("demo", [12, 3, 4, 1_204, 7, 0, 2], "payload/run.sh"),
        flock(
            "night-runs-of-the-sequencer",
            [0, 0, 0, 98_765, 0, 0, 0],
            "python3 -m pipeline.align --threads 8",
        ),
        FlockRow {
            image: Some(format!("sha256:{}", "0a1b2c3d4e5f6789".repeat(4))),
            isolation: Isolation { privileged: true, gpus: vec!["all".to_owned()], ..Isolation::default() },
            ..flock("meadow", [0, 0, 1, 12, 0, 0, 0], "")
        },
        FlockRow { dead: 3, ..flock("pasture", [0, 0, 0, 0, 0, 3, 0], "sh -c 'sha256sum *.zip'") },
        FlockRow {
            problem: Some("cannot open the database: it is of a newer version of shepard".to_owned()),
            ..flock("from-the-future", [0; 7], "")
        },
    ]
}

fn with_flocks(console: Console) -> Console {
    let before = flocks().into_iter().map(|flock| FlockRow { counts: [0; 7], ..flock }).collect();
    let later = NOW + History::SLOT_MS;
    console.msg(Msg::Flocks(before)).msg(Msg::Now(later)).msg(Msg::Flocks(flocks()))
}

/// Jobs in every state, opened.
fn with_jobs(console: Console) -> Console {
    let rows = [
        queued("runs/2026-01-31/late-arrival.zip"),
        scheduled("runs/2026-01-31/next.zip"),
        running("runs/2026-01-31/sample-0001.zip"),
        running("sample-0002.zip"),
        finished("runs/2026-01-31/a-rather-long-name-of-a-sample-that-goes-on.zip", Outcome::Succeeded),
        finished("sample-0004.zip", Outcome::Succeeded),
        finished("runs/2026-01-31/sample-0005.zip", Outcome::Failed),
        finished("sample-0006.zip", Outcome::Cancelled),
        rejected("not-a-job.zip"),
    ];
    rows.iter().fold(with_flocks(console).press("<enter>"), |console, row| console.job(row))
}

#[test]
fn the_list_of_flocks() {
    frames("flocks", &[SMALL, USUAL, LARGE], with_flocks);
    frames("flocks_none", &[SMALL], |console| console.msg(Msg::Flocks(Vec::new())));
    frames("flocks_offline", &[SMALL], |console| {
        let problem = Problem::new(ProblemKind::Denied, "cannot list the flocks: permission denied");
        with_flocks(console).msg(Msg::FeedFailed(Sub::Flocks, problem))
    });
    frames("flocks_filtered", &[SMALL], |console| with_flocks(console).press("/past"));
}

#[test]
fn the_jobs_of_a_flock() {
    frames("jobs", &[SMALL, USUAL, LARGE], with_jobs);
    frames("jobs_wide", &[SMALL], |console| with_jobs(console).press("W<right><right><right>"));
    frames("jobs_marked", &[SMALL, USUAL], |console| {
        with_jobs(console).press("<space>jj<space>").press("/sample<enter>").press("V")
    });
    frames("jobs_filtering", &[SMALL, USUAL], |console| with_jobs(console).press("/state:fai"));
    frames("jobs_filter_wrong", &[SMALL], |console| with_jobs(console).press("/state:nowhere"));
    frames("jobs_no_match", &[SMALL], |console| with_jobs(console).press("/zebra<enter>"));
    frames("jobs_none", &[SMALL, USUAL], |console| {
        let nothing = crate::app::msg::JobsChange {
            flock: "demo".to_owned(),
            rows: Vec::new(),
            removed: Vec::new(),
            next: 1,
            caught_up: true,
            following: crate::app::aws::Following::Direct,
        };
        with_flocks(console).press("<enter>").msg(Msg::Jobs(nothing))
    });
    frames("jobs_loading", &[SMALL], |console| with_flocks(console).press("<enter>"));
    frames("jobs_stale", &[SMALL, USUAL], |console| {
        let text = "cannot read the jobs of demo: the disk is full; make room, and it goes on by itself";
        let problem = Problem::new(ProblemKind::Full, text);
        with_jobs(console).msg(Msg::FeedFailed(Sub::Jobs { flock: "demo".to_owned() }, problem))
    });
}

#[test]
fn help() {
    frames("help_flocks", &[SMALL], |console| console.press("?"));
    frames("help_jobs", &[SMALL, USUAL, LARGE], |console| with_jobs(console).press("?"));
    frames("help_jobs_end", &[SMALL], |console| with_jobs(console).press("?G"));
    frames("help_job", &[SMALL], |console| with_jobs(console).press("<enter>").press("?"));
    frames("help_log", &[SMALL, USUAL], |console| with_jobs(console).press("l").press("?"));
    frames("help_log_end", &[SMALL], |console| with_jobs(console).press("l").press("?G"));
    frames("help_form", &[SMALL], |console| {
        console.at(Place::Batch { flock: "demo".to_owned() }).act(Action::Help)
    });
}

#[test]
fn no_line_of_help_is_cut_at_80_columns() {
    let id = running("sample-0002.zip").id;
    let flock = || "demo".to_owned();
    let places = [
        Place::Flocks,
        Place::NewFlock,
        Place::Flock { flock: flock() },
        Place::Jobs { flock: flock() },
        Place::Job { flock: flock(), id: id.clone() },
        Place::Logs { flock: flock(), id },
        Place::Journal,
    ];
    for place in places {
        // So high that nothing has to be scrolled for.
        let frame = Console::new().sized(80, 120).at(place.clone()).act(Action::Help).frame();
        let cut: Vec<&str> = frame.lines().filter(|line| line.contains('…')).collect();
        assert!(cut.is_empty(), "{place:?}: {cut:#?}");
    }
}

#[test]
fn what_lies_over_a_screen() {
    frames("menu", &[SMALL, USUAL], |console| with_jobs(console).press("x"));
    frames("menu_end", &[SMALL], |console| with_jobs(console).press("xjjjjjjjjjjjjjjjjjjjjjjjjjjj"));
    frames("command_bar", &[SMALL, USUAL, LARGE], |console| with_jobs(console).press(":"));
    frames("command_bar_typed", &[SMALL], |console| with_jobs(console).press(":ba<down>"));
    frames("command_bar_unknown", &[SMALL], |console| with_jobs(console).press(":zebra"));
    frames("fetch_to", &[SMALL], |console| with_jobs(console).press("o"));
    frames("quit", &[SMALL, USUAL], |console| with_flocks(console).press("q"));
    frames("terminate_one", &[SMALL], |console| {
        with_jobs(console).press("/sample-0002<enter>").press("X<tab>")
    });
    frames("terminate_many", &[SMALL, USUAL, LARGE], |console| with_jobs(console).press("*X").press("dem"));
    frames("retry_many", &[SMALL], |console| with_jobs(console).press("*R"));
    frames("remove_flock", &[SMALL, USUAL], |console| with_flocks(console).press("X"));
}

#[test]
fn what_is_said_and_what_is_under_way() {
    let said = |console: Console, problem: bool, text: &str| {
        console.msg(Msg::Notice { problem, text: text.to_owned() })
    };
    frames("toasts", &[SMALL, USUAL], |console| {
        let long = "batch /home/ann/data/2026-01-31 into demo: cannot write /home/ann/.local/share/shepard/flocks/\
                    demo/inputs/sample-0001.zip: there is no space left; free some and batch the folder again, what \
                    is there already is not sent twice";
        let console = said(with_jobs(console), false, "12 jobs batched into demo");
        said(said(console, true, long), true, "only jobs that failed or were cancelled can be run again")
    });
    frames("under_way", &[SMALL, USUAL], |console| {
        let console = with_jobs(console).press("o<enter>");
        let (note, part) = ("files fetched".to_owned(), String::new());
        console.msg(Msg::Progress { op: 1, done: 7, total: 12, note, part, bytes: false })
    });
    frames("under_way_unknown", &[SMALL], |console| {
        let console = with_jobs(console).press("o<enter>").press("o<enter>");
        console.msg(Msg::Now(NOW + 75_000))
    });
    frames("done_in_part", &[SMALL], |console| {
        let done = Done {
            text: "0 jobs run again, 1 not".to_owned(),
            failed: vec![("4d1c8a90".to_owned(), "its input is gone: batch it again".to_owned())],
            path: None,
        };
        let console = with_jobs(console).press("/0005<enter>").press("R");
        console.msg(Msg::Finished { op: 1, result: Ok(done) })
    });
}

#[test]
fn a_read_only_session() {
    frames("read_only", &[SMALL], |console| {
        let mut console = with_jobs(console);
        console.model.session.read_only = true;
        console.model.session.keymap = crate::app::keymap::Keymap::new(&Default::default(), true).0;
        console
    });
}

#[test]
fn small_narrow_ascii_and_without_colour() {
    frames("too_small", &[(30, 8)], with_jobs);
    frames("narrow", &[(40, 10), (50, 12)], with_jobs);
    let ascii = Look::new(Theme::default(), true);
    let console = with_jobs(Console::new().sized(80, 24)).press("<space>");
    assert_snapshot!("jobs_ascii_80", console.frame_in(&ascii));
    let plain = Look::new(Theme::default().at(ColorDepth::None), false);
    // Without colour the styles are what matters: a letter for each, in a second picture below the first.
    let console = with_jobs(Console::new().sized(80, 24)).press("<space>").press("X");
    assert_snapshot!(
        "jobs_no_colour_80",
        format!("{}\n{}", console.frame_in(&plain), console.styles_in(&plain))
    );
}
