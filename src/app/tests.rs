//! Key scripts on the core: what a person presses, what is shown, and what is asked of the outside.

use std::collections::BTreeMap;

use shepard_model::{JobId, JobRow, Outcome};

use super::actions::{ACTIONS, Reach, Scope, Spec};
use super::effect::{Command, Effect, Policy, Request};
use super::keymap::Keymap;
use super::msg::{Done, FlockRow, JobsChange, Msg};
use super::nav::Place;
use super::offered::hints;
use super::remote::{Problem, ProblemKind};
use super::update::scopes;
use super::{Action, Sub};
use crate::screens::testing::{Console, NOW, finished, queued, rejected, running};
use crate::screens::{Behaviour as _, help};

fn demo() -> Place {
    Place::Jobs { flock: "demo".to_owned() }
}

/// The jobs of `demo`, looked at.
fn jobs(rows: &[JobRow]) -> Console {
    rows.iter().fold(Console::new().press("<enter>"), |console, row| console.job(row))
}

fn crumbs(console: &Console) -> String {
    console.model.nav.place().crumbs().join(" > ")
}

/// How many of these words are on the screen.
fn shown(console: &Console, words: &[&str]) -> Vec<bool> {
    let frame = console.frame();
    words.iter().map(|word| frame.contains(word)).collect()
}

fn quits(console: &Console) -> bool {
    console.effects.iter().any(|effect| matches!(effect, Effect::Quit))
}

fn with_keys(mut console: Console, entries: &[(&str, &[&str])], read_only: bool) -> Console {
    let replaced: BTreeMap<String, Vec<String>> = entries
        .iter()
        .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|key| (*key).to_owned()).collect()))
        .collect();
    let (keymap, problems) = Keymap::new(&replaced, read_only);
    assert!(problems.is_empty(), "{problems:?}");
    console.model.session.keymap = keymap;
    console.model.session.read_only = read_only;
    console
}

#[test]
fn enter_goes_in_and_escape_comes_out_again_and_never_quits() {
    let failed = finished("a.zip", Outcome::Failed);
    let short = &failed.id.as_str()[..8];
    let console = jobs(std::slice::from_ref(&failed));
    assert_eq!(crumbs(&console), "flocks > demo");
    let console = console.press("<enter>");
    assert_eq!(crumbs(&console), format!("flocks > demo > {short}"));
    let console = console.press("L");
    assert_eq!(crumbs(&console), format!("flocks > demo > {short} > log"));
    assert!(console.frame().lines().next().is_some_and(|header| header.contains(short)));
    let console = console.press("<esc>");
    assert_eq!(crumbs(&console), format!("flocks > demo > {short}"));
    let console = console.press("<esc><esc><esc><esc>");
    assert_eq!(crumbs(&console), "flocks");
    assert!(!quits(&console) && console.model.overlay.is_none());
}

#[test]
fn history_goes_back_forward_and_between_the_last_two() {
    let console = jobs(&[finished("a.zip", Outcome::Failed)]).press("<enter>");
    let job = crumbs(&console);
    let console = console.press("[");
    assert_eq!(crumbs(&console), "flocks > demo");
    let console = console.press("[[[");
    assert_eq!(crumbs(&console), "flocks");
    let console = console.press("]]");
    assert_eq!(crumbs(&console), job);
    let console = console.press("]");
    assert_eq!(crumbs(&console), job, "there is nothing after the newest");
    let console = console.press("-");
    assert_eq!(crumbs(&console), "flocks > demo");
    let console = console.press("-");
    assert_eq!(crumbs(&console), job);
}

#[test]
fn a_screen_is_found_again_as_it_was_left() {
    let rows = [queued("a.zip"), queued("b.zip"), queued("c.zip")];
    let console = jobs(&rows).press("/b<enter><space>").press("<esc>").press("/b<enter><enter>");
    assert!(matches!(console.model.nav.place(), Place::Job { .. }));
    let console = console.press("<esc>");
    assert_eq!(shown(&console, &["1 marked", "esc shows all"]), [true, true], "{}", console.frame());
}

#[test]
fn the_filter_is_live_and_escape_brings_back_what_was_there() {
    let console = jobs(&[queued("alpha.zip"), queued("beta.zip")]);
    let both = ["alpha.zip", "beta.zip"];
    assert_eq!(shown(&console, &both), [true, true]);
    let console = console.press("/bet");
    assert_eq!(shown(&console, &both), [false, true], "before Enter");
    let console = console.press("<esc>");
    assert_eq!(shown(&console, &both), [true, true]);
    let console = console.press("/alp<enter>");
    assert_eq!(shown(&console, &both), [true, false]);
    let console = console.press("/<ctrl-u>bet");
    assert_eq!(shown(&console, &both), [false, true]);
    let console = console.press("<esc>");
    assert_eq!(shown(&console, &both), [true, false], "the filter from before, not none");
    let console = console.press("<esc>");
    assert_eq!(shown(&console, &both), [true, true], "escape takes the filter away first");
    assert_eq!(crumbs(&console.press("<esc>")), "flocks");
}

#[test]
fn a_filter_that_is_wrong_says_where_and_shows_what_the_last_good_one_did() {
    let console = jobs(&[queued("alpha.zip"), queued("beta.zip")]).press("/alp");
    let console = console.press("<ctrl-u>state:nowhere");
    assert!(console.frame().contains("nowhere"), "{}", console.frame());
    let console = console.press("<enter>");
    assert!(console.said().iter().any(|said| said.starts_with("filter: ")), "{:?}", console.said());
    assert_eq!(crumbs(&console), "flocks > demo");
}

#[test]
fn marks_are_of_jobs_not_of_lines() {
    let rows = [running("c.zip"), running("b.zip"), running("a.zip")];
    let console = jobs(&rows).press("ss").press("g<space>");
    let marked = |console: &Console| {
        console.frame().lines().filter(|line| line.contains('●') && line.contains(".zip")).count()
    };
    assert_eq!(marked(&console), 1, "{}", console.frame());
    let line = |console: &Console| {
        let frame = console.frame();
        frame.lines().find(|line| line.contains('●')).map(|line| line.contains("a.zip"))
    };
    let first = line(&console);
    let console = console.press("S");
    assert_eq!(line(&console), first, "turned round, the same job is marked:\n{}", console.frame());
    let console = console.press("/nothing-like-it<enter>");
    assert!(console.frame().contains("1 marked, 1 hidden"), "{}", console.frame());
    let console = console.job(&running("d.zip")).press("<esc>");
    assert_eq!(line(&console), first);
    assert!(!console.press("u").frame().contains("marked"));
}

#[test]
fn terminating_many_takes_the_typed_name_and_stops_the_marked_jobs_only() {
    let rows = [running("a.zip"), running("b.zip"), running("c.zip"), finished("d.zip", Outcome::Succeeded)];
    let console = jobs(&rows).press("/a.zip<enter>*<esc>").press("/c.zip<enter>*").press("X");
    let frame = console.frame();
    assert!(
        frame.contains("Terminate 2 jobs?") && frame.contains("1 of these are marked but hidden"),
        "{frame}"
    );
    assert!(frame.contains("a.zip") && frame.contains("c.zip"), "it names its targets:\n{frame}");
    // Enter, a yes and half the name are no consent.
    let console = console.press("<enter>y<enter><ctrl-u>dem<enter>");
    assert!(console.commands().is_empty());
    // Meanwhile a job arrives and moves every line.
    let console = console.job(&queued("e.zip")).press("o<enter>");
    let mut wanted: Vec<JobId> = vec![rows[0].id.clone(), rows[2].id.clone()];
    wanted.sort_unstable();
    match console.commands()[..] {
        [Command::Terminate { flock, ids }] => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            assert_eq!((flock.as_str(), ids), ("demo", wanted));
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn terminating_one_is_a_question_whose_default_is_no() {
    let row = running("a.zip");
    let console = jobs(std::slice::from_ref(&row)).press("X<enter>");
    assert!(console.commands().is_empty() && console.model.overlay.is_none());
    let console = console.press("Xn").press("X<esc>").press("X<tab><tab><enter>");
    assert!(console.commands().is_empty());
    let console = console.press("X<tab><enter>");
    let expected = Command::Terminate { flock: "demo".to_owned(), ids: vec![row.id] };
    assert_eq!(console.commands(), [&expected]);
    let console = jobs(&[finished("a.zip", Outcome::Failed)]).press("X");
    assert!(console.model.overlay.is_none() && console.said() == ["these jobs have ended already"]);
}

#[test]
fn only_what_failed_is_run_again() {
    let failed = finished("a.zip", Outcome::Failed);
    let rows = [failed.clone(), finished("b.zip", Outcome::Succeeded), rejected("c.zip"), running("d.zip")];
    let console = jobs(&rows).press("*R");
    assert!(console.frame().contains("(3 that did not fail are left alone)"), "{}", console.frame());
    let console = console.press("y");
    let expected = Command::Retry { flock: "demo".to_owned(), ids: vec![failed.id] };
    assert_eq!(console.commands(), [&expected]);
    let console = jobs(&rows[1..2]).press("R");
    assert!(console.commands().is_empty());
    assert_eq!(console.said().len(), 1);
}

#[test]
fn the_command_bar_completes_runs_and_says_what_is_wrong() {
    let console = Console::new().press(":jo");
    assert!(console.frame().contains("the jobs of this flock"));
    let console = console.press("<tab>");
    assert!(console.frame().contains(":jobs demo"), "{}", console.frame());
    let console = console.press("<enter>").job(&finished("bad.zip", Outcome::Failed)).job(&queued("new.zip"));
    assert_eq!(console.model.nav.place(), &demo());
    let console = console.press(":only failed<enter>");
    assert_eq!(shown(&console, &["bad.zip", "new.zip"]), [true, false]);
    let console = console.press(":nonsense<enter>");
    assert!(console.said().iter().any(|said| said.contains("there is no command \"nonsense\"")));
    let console = console.press(":flock-remove<enter>");
    assert!(console.said().iter().any(|said| said.contains("does not work on this screen")));
    let console = console.press(":<backspace>").press(":x<esc>");
    assert!(console.model.overlay.is_none(), "backspace on nothing, and escape, close it");
    let console = console.press(":flocks<enter>");
    assert_eq!(crumbs(&console), "flocks");
    assert!(quits(&console.press(":q!<enter>")));
}

#[test]
fn the_arrows_choose_among_completions() {
    let console = Console::new().flock("meadow").press(":jobs <down><enter>");
    assert_eq!(crumbs(&console), "flocks > meadow");
}

#[test]
fn the_menu_does_what_is_under_its_cursor_or_on_its_key() {
    let row = running("a.zip");
    let console = jobs(std::slice::from_ref(&row)).sized(120, 60).press("x");
    let frame = console.frame();
    for spec in ACTIONS.iter().filter(|spec| spec.scope == Scope::Jobs) {
        assert!(frame.contains(spec.help), "{}:\n{frame}", spec.name);
    }
    let console = console.press("<enter>");
    assert!(console.model.overlay.is_none(), "the first entry is done");
    let console = console.press("xX");
    assert!(console.frame().contains("Terminate this job?"));
    let console = console.press("n").press("xq");
    assert!(console.model.overlay.is_none() && console.commands().is_empty());
}

#[test]
fn help_lists_exactly_the_keys_that_work() {
    let failed = finished("a.zip", Outcome::Failed);
    let places = [
        Place::Flocks,
        Place::NewFlock,
        Place::Flock { flock: "demo".to_owned() },
        demo(),
        Place::Batch { flock: "demo".to_owned() },
        Place::Secrets { flock: "demo".to_owned() },
        Place::Job { flock: "demo".to_owned(), id: failed.id.clone() },
        Place::Logs { flock: "demo".to_owned(), id: failed.id.clone() },
        Place::Journal,
        Place::Profiles,
    ];
    for place in places {
        let console = jobs(std::slice::from_ref(&failed)).at(place.clone());
        let map = &console.model.session.keymap;
        let here = scopes(&console.model);
        let listed: Vec<(String, &str)> = help::lines(&console.model)
            .into_iter()
            .filter_map(
                |line| if let help::Line::Keys(keys, what) = line { Some((keys, what)) } else { None },
            )
            .collect();
        let without = console.model.nav.screen().map_or(&[][..], |screen| screen.without());
        let useful = |spec: &&Spec| here.contains(&spec.scope) && !without.contains(&spec.action);
        let expected = ACTIONS.iter().filter(useful).count();
        assert_eq!(listed.len(), expected, "{place:?}");
        for (keys, what) in &listed {
            for key in keys.split("  ").filter(|key| !key.starts_with(':') || *key == ":") {
                let action = map.action(&here, key.parse().expect("a key"));
                assert_eq!(action.map(|action| action.spec().help), Some(*what), "{key} at {place:?}");
            }
        }
        for (key, hint) in hints(&console.model) {
            let action = map.action(&here, key.parse().expect("a key")).expect("bound");
            assert_eq!(action.spec().hint, hint);
        }
    }
}

#[test]
fn the_persons_own_keys_are_in_hints_help_and_menu() {
    let known: &[(&str, &[&str])] = &[("retry", &["ctrl-r", "F"]), ("batch", &[])];
    let failed = finished("a.zip", Outcome::Failed);
    let console = with_keys(jobs(std::slice::from_ref(&failed)).sized(200, 60), known, false);
    let shown = hints(&console.model);
    assert!(shown.contains(&("ctrl-r".to_owned(), "retry")), "{shown:?}");
    assert!(!shown.iter().any(|(_, hint)| *hint == "batch"), "{shown:?}");
    let frame = console.press("x").frame();
    let line = |frame: &str, what: &str| {
        frame.lines().find(|line| line.contains(what)).map(str::to_owned).unwrap_or_default()
    };
    assert!(line(&frame, Action::JobsRetry.spec().help).contains("ctrl-r"), "{frame}");
    let console = with_keys(jobs(&[failed]).sized(200, 60), known, false).press("?");
    let frame = console.frame();
    assert!(line(&frame, Action::JobsRetry.spec().help).contains("ctrl-r  F"), "{frame}");
    assert!(line(&frame, Action::JobsBatch.spec().help).contains(":batch"), "{frame}");
    let console = console.press("<esc>").press("R");
    assert!(console.commands().is_empty(), "the default key is gone");
    assert_eq!(console.press("F").commands().len(), 1);
}

#[test]
fn a_read_only_session_can_do_nothing_and_offers_nothing() {
    let rows = [running("a.zip"), finished("b.zip", Outcome::Failed)];
    let console = with_keys(jobs(&rows).sized(200, 60), &[], true).press("*XRb");
    assert!(console.commands().is_empty() && console.model.overlay.is_none());
    assert_eq!(crumbs(&console), "flocks > demo");
    let changes = |what: &str| ACTIONS.iter().any(|spec| spec.reach != Reach::Look && spec.help == what);
    for line in help::lines(&console.model) {
        if let help::Line::Keys(keys, what) = line {
            assert!(!changes(what), "{keys}: {what}");
        }
    }
    assert!(!hints(&console.model).iter().any(|(_, hint)| ["batch", "retry", "terminate"].contains(hint)));
    let console = console.act(Action::JobsTerminate).act(Action::JobsRetry);
    assert!(console.commands().is_empty() && console.said() == ["this session is read-only"]);
    let console = console.press(":batch demo<enter>").press(":new<enter>").press(":terminate<enter>");
    assert_eq!(crumbs(&console), "flocks > demo");
    let console = console.press("<esc>").press("abzX");
    assert!(console.commands().is_empty() && console.model.overlay.is_none());
    assert_eq!(crumbs(&console), "flocks");
}

#[test]
fn what_is_said_goes_away_by_itself_and_the_clock_stops_with_it() {
    let said = |text: &str, problem| Msg::Notice { problem, text: text.to_owned() };
    let console = Console::new();
    assert_eq!(console.model.wants_tick(), None, "an idle console wants no clock");
    let console = console.msg(said("good", false)).msg(said("bad", true));
    assert!(console.model.wants_tick().is_some());
    let console = console.msg(Msg::Now(NOW + 4_999));
    assert_eq!(console.said(), ["good", "bad"]);
    let console = console.msg(Msg::Now(NOW + 5_000));
    assert_eq!(console.said(), ["bad"]);
    let console = console.msg(Msg::Now(NOW + 15_000));
    assert!(console.said().is_empty());
    assert_eq!(console.model.wants_tick(), None);
}

#[test]
fn words_of_a_flock_that_was_left_are_not_listened_to() {
    let change = |flock: &str, row: &JobRow| {
        Msg::Jobs(JobsChange {
            flock: flock.to_owned(),
            rows: vec![row.summary()],
            removed: Vec::new(),
            next: 9,
            caught_up: true,
            following: crate::app::aws::Following::Direct,
        })
    };
    let console = Console::new().flock("meadow").at(demo()).job(&queued("a.zip"));
    let console = console.at(Place::Jobs { flock: "meadow".to_owned() });
    let console = console.msg(change("demo", &queued("late.zip"))).msg(change("meadow", &queued("own.zip")));
    assert_eq!(shown(&console, &["late.zip", "own.zip"]), [false, true]);
    assert!(!console.model.data.jobs.contains_key("demo"), "its memory is given back");
    let subs = console.model.subscriptions();
    assert!(!subs.contains(&Sub::Jobs { flock: "demo".to_owned() }), "{subs:?}");
    // Back there, the list is read from its beginning.
    let console = console.at(demo());
    assert!(!console.frame().contains("a.zip") && console.frame().contains("reading the jobs"));
}

#[test]
fn requests_of_a_kind_share_a_place_by_their_policy() {
    let job = |flock: &str, key: &str| Request::Job { flock: flock.to_owned(), id: queued(key).id };
    let (policy, place) = job("demo", "a.zip").policy();
    assert_eq!(policy, Policy::SingleFlight);
    assert_eq!(place, job("demo", "a.zip").policy().1);
    assert_ne!(place, job("demo", "b.zip").policy().1);
    assert_ne!(place, job("meadow", "a.zip").policy().1);
    let paths = |text: &str| Request::Paths { text: text.to_owned() }.policy();
    assert_eq!(paths("/a"), paths("/b"));
    assert_eq!(paths("/a").0, Policy::LatestWins, "only what the newest keystroke asks is of use");
    let preflight = |path: &str| Request::Preflight { flock: "demo".into(), path: path.into() }.policy();
    assert_eq!(preflight("/a"), preflight("/b"));
    assert_eq!(preflight("/a").0, Policy::LatestWins);
    assert_eq!(Request::Journal.policy().0, Policy::SingleFlight);
}

#[test]
fn control_c_cancels_what_is_under_way_before_it_quits() {
    let console = Console::new().press("z");
    // The flock runs, so this asks; the answer begins a command.
    let console = console.press("y");
    assert_eq!(console.commands(), [&Command::StopFlock { flock: "demo".to_owned() }]);
    let console = console.press("<ctrl-c><ctrl-c>");
    assert!(!quits(&console));
    let abandoned = console.effects.iter().filter(|effect| matches!(effect, Effect::Abandon(1))).count();
    assert_eq!(abandoned, 2);
    let console = console.msg(Msg::Finished {
        op: 1,
        result: Err(Problem::new(ProblemKind::Other, "cancelled; what was done by then stays done")),
    });
    assert!(console.said().iter().any(|said| said.contains("stop demo: cancelled")), "{:?}", console.said());
    let console = console.press("<ctrl-c>").msg(Msg::Now(NOW + 2_000)).press("<ctrl-c>");
    assert!(!quits(&console), "two seconds apart are two single ones");
    assert!(quits(&console.press("<ctrl-c>")));
}

#[test]
fn quitting_names_what_is_still_under_way() {
    let console = Console::new().press("zy").press("q");
    let frame = console.frame();
    assert!(frame.contains("Quit Shepard?") && frame.contains("Still under way: stop demo"), "{frame}");
    let console = console.press("<enter>");
    assert!(!quits(&console), "the default is to stay");
    assert!(quits(&console.press("qy")));
}

#[test]
fn news_under_a_question_leave_the_question_alone() {
    let console = jobs(&[running("a.zip")]).press("X");
    let console = console.job(&running("b.zip")).job(&finished("a.zip", Outcome::Succeeded));
    let console = console.msg(Msg::Flocks(vec![FlockRow { name: "demo".to_owned(), ..FlockRow::default() }]));
    assert!(console.frame().contains("Terminate this job?"));
}

#[test]
fn what_failed_in_part_names_its_targets() {
    let console = jobs(&[finished("a.zip", Outcome::Failed)]).press("R");
    let done = Done {
        text: "0 jobs run again, 1 not".to_owned(),
        failed: vec![("4d1c".to_owned(), "the input is gone".to_owned())],
        path: None,
    };
    let console = console.msg(Msg::Finished { op: 1, result: Ok(done) });
    assert_eq!(console.said(), ["0 jobs run again, 1 not", "4d1c: the input is gone"]);
    let problems: Vec<bool> = console.model.ops.toasts.iter().map(|toast| toast.problem).collect();
    assert_eq!(problems, [false, true], "what was done is good news, what was not is bad");
}

#[test]
fn a_flock_that_is_removed_takes_its_screens_with_it() {
    let console = jobs(&[running("a.zip")]).press("<enter>").press("<esc><esc>");
    let console = console.press("Xdemo<enter>");
    assert_eq!(console.commands(), [&Command::RemoveFlock { flock: "demo".to_owned() }]);
    let done = Done { text: "removed".to_owned(), failed: Vec::new(), path: None };
    let console = console.msg(Msg::Finished { op: 1, result: Ok(done) }).msg(Msg::Flocks(Vec::new()));
    assert_eq!(crumbs(&console), "flocks");
    assert_eq!(crumbs(&console.press("[[[[")), "flocks", "history does not lead into what is gone");
}
