//! The session with AWS by key presses: who and until when, what is drawn when it is over, denied or out of reach, and
//! that a code is seen nowhere.

use insta::assert_snapshot;
use shepard_model::Account;

use crate::app::account::{Choices, IdentityNews, Renewal, Who, account_of, hidden};
use crate::app::effect::{Command, Effect, Request};
use crate::app::key::script;
use crate::app::msg::{Done, FlockRow, Loaded, Msg};
use crate::app::nav::Place;
use crate::app::remote::{Problem, ProblemKind};
use crate::app::{Sub, update};
use crate::screens::testing::{Console, NOW, queued, running};

/// Typed into the dialog, and to be found nowhere.
const CODE: &str = "918273";
const FLOCK: &str = "genomes@work/eu-west-1";
const SERIAL: &str = "arn:aws:iam::123456789012:mfa/ann";

fn account() -> Account {
    account_of(FLOCK).expect("on AWS")
}

fn by_code() -> Renewal {
    Renewal::Code { serial: SERIAL.into(), role: "arn:aws:iam::123456789012:role/deployer".into() }
}

fn known(left_ms: i64) -> Result<Who, Problem> {
    Ok(Who {
        account: "123456789012".into(),
        name: "deployer".into(),
        region: Some("eu-west-1".into()),
        expires_ms: Some(NOW + left_ms),
    })
}

fn said(who: Result<Who, Problem>, renewal: Renewal) -> Msg {
    Msg::Identity(IdentityNews { of: account(), who, renewal })
}

fn problem(kind: ProblemKind, text: &str) -> Result<Who, Problem> {
    Err(Problem::new(kind, text))
}

/// The jobs of a flock on AWS, with a session of 42 minutes.
fn console() -> Console {
    let row = FlockRow { name: FLOCK.into(), running: true, max_jobs: 2, ..FlockRow::default() };
    Console::new()
        .msg(Msg::Flocks(vec![row]))
        .at(Place::Jobs { flock: FLOCK.into() })
        .flock_of(FLOCK)
        .job(&running("a.zip"))
        .job(&queued("b.zip"))
        .msg(said(known(42 * 60_000), by_code()))
}

fn asks_of_the_flock(console: &Console) -> bool {
    console.model.subscriptions().iter().any(|sub| matches!(sub, Sub::Jobs { .. }))
}

fn asks_who(console: &Console) -> bool {
    console.model.subscriptions().iter().any(|sub| matches!(sub, Sub::Identity { .. }))
}

#[test]
fn the_header_says_who_and_until_when() {
    let console = console();
    assert_snapshot!("well_80", console.frame());
    assert!(console.frame().lines().next().expect("a header").contains("deployer@123456789012 42m left"));
    assert!(asks_of_the_flock(&console) && asks_who(&console));
    assert_eq!(
        console.model.wants_tick().map(|every| every <= 15_000),
        Some(true),
        "minutes are counted down"
    );
    let soon = console.msg(Msg::Now(NOW + 34 * 60_000));
    assert!(soon.frame().contains("only 8m left"), "{}", soon.frame());
}

#[test]
fn an_expired_session_pauses_what_asks_aws_keeps_the_rows_and_one_key_renews() {
    let console = console().msg(Msg::Now(NOW + 43 * 60_000));
    assert_snapshot!("expired_80", console.frame());
    assert!(!asks_of_the_flock(&console) && asks_who(&console), "{:?}", console.model.subscriptions());
    assert!(console.frame().contains("a.zip"), "rows stay");
    assert_ne!(console.style_of("b.zip"), self::console().style_of("b.zip"), "and look old");
    let banners = console.frame().matches("expired").count();
    assert_eq!(banners, 1, "{}", console.frame());
    // Keys still answer.
    let console = console.press("?");
    assert!(console.frame().contains("keys · genomes"), "{}", console.frame());
    let console = console.press("<esc>.");
    assert_snapshot!("code_80", console.frame());

    let console = console.press("91827");
    let console = console.press("<enter>");
    assert!(console.has_overlay() && console.commands().is_empty(), "five digits are no code");
    let console = console.press("3");
    assert!(!console.frame().contains("918"), "{}", console.frame());
    let console = console.press("<enter>");
    match console.commands()[..] {
        [Command::Renew { account: of, code: Some(code) }] => {
            assert_eq!((of, code.reveal()), (&account(), CODE));
        }
        ref other => panic!("{other:?}"),
    }
    assert!(!format!("{:?} {:?}", console.effects, console.model).contains(CODE));

    let done = Done { text: "the session with AWS is renewed".into(), failed: Vec::new(), path: None };
    let console =
        console.msg(Msg::Finished { op: 1, result: Ok(done) }).msg(said(known(103 * 60_000), by_code()));
    assert!(asks_of_the_flock(&console));
    assert!(console.frame().contains("1h 00m left"), "{}", console.frame());
}

#[test]
fn a_wrong_code_is_said_and_asked_for_again() {
    let mfa = problem(ProblemKind::Mfa, "cannot assume the role: a code is needed");
    let console = console().msg(said(mfa, by_code())).press(".111111<enter>");
    let wrong = Problem::new(
        ProblemKind::Mfa,
        "cannot assume the role: AccessDenied: invalid MFA one time pass code",
    );
    let console = console.msg(Msg::Finished { op: 1, result: Err(wrong) });
    assert_snapshot!("wrong_code_80", console.frame());
    assert!(!console.frame().contains("111111"));
    assert!(console.press(".").frame().contains("MFA code"));
}

#[test]
fn a_signed_out_person_is_told_the_command_and_it_goes_on_by_itself() {
    let line = Renewal::SignIn("aws sso login --profile work".into());
    let out = problem(ProblemKind::Expired, "the SSO session has expired");
    let console = console().msg(said(out, line.clone()));
    assert_snapshot!("signed_out_80", console.frame());
    let console = console.press(".");
    assert!(
        console.commands().is_empty() && console.said().concat().contains("aws sso login --profile work")
    );
    let console = console.msg(said(known(3_600_000), line));
    assert!(asks_of_the_flock(&console));
    assert!(!console.frame().contains("signed out"));
}

#[test]
fn denied_and_offline_are_told_apart_from_expired_and_pause_nothing() {
    let words = "cannot assume the role r: AccessDenied: User: arn:aws:iam::123456789012:user/ann is not authorized to \
                 perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/deployer";
    let denied = console().msg(said(problem(ProblemKind::Denied, words), Renewal::Nothing));
    assert_snapshot!("denied_80", denied.frame());
    let offline = console().msg(said(problem(ProblemKind::Offline, "no route"), Renewal::Nothing));
    assert_snapshot!("offline_80", offline.frame());
    for console in [denied, offline] {
        assert!(asks_of_the_flock(&console), "it goes on trying by itself");
        let console = console.press("j<esc>");
        assert_eq!(console.model.nav.place(), &Place::Flocks, "keys answer");
        assert!(!console.effects.iter().any(|effect| matches!(effect, Effect::Quit)));
    }
}

#[test]
fn a_feed_that_finds_the_session_expired_says_so_for_all() {
    let expired = Problem::new(ProblemKind::Expired, "cannot read: ExpiredToken");
    let console = console().msg(Msg::FeedFailed(Sub::Jobs { flock: FLOCK.into() }, expired));
    assert!(!asks_of_the_flock(&console));
    let Some(Sub::Identity { again: 1, .. }) =
        console.model.subscriptions().into_iter().find(|sub| matches!(sub, Sub::Identity { .. }))
    else {
        panic!("who one is is asked at once")
    };
}

#[test]
fn profiles_and_regions_are_picked_and_flocks_of_this_machine_need_neither() {
    let console = Console::new();
    assert!(!asks_who(&console), "nobody asks AWS who one is before an account is looked at");
    let console = console.press(".");
    assert!(console.said().concat().contains("no account of AWS"));
    let console = console.press("p");
    assert!(matches!(console.effects.last(), Some(Effect::Load(Request::Accounts))));
    let choices = Choices {
        profiles: vec![
            ("default".into(), "keys".into()),
            ("work".into(), "role deployer, with a code  eu-west-1".into()),
        ],
        regions: vec!["eu-west-1".into(), "us-east-1".into()],
    };
    let console = console.msg(Msg::Loaded(Loaded::Accounts(Ok(choices.clone()))));
    assert_snapshot!("profiles_80", console.frame());
    let console = console.press("wo<enter>").press("P").msg(Msg::Loaded(Loaded::Accounts(Ok(choices))));
    let console = console.press("<down><enter>");
    let chosen = console.model.account.chosen.clone().expect("chosen");
    assert_eq!((chosen.profile.as_deref(), chosen.region.as_deref()), (Some("work"), Some("eu-west-1")));
    assert!(asks_who(&console));
    let console = console.msg(said(known(5 * 60_000), by_code()));
    assert!(console.frame().contains("deployer@123456789012 eu-west-1 only 5m left"), "{}", console.frame());
}

#[test]
fn no_recording_holds_what_is_typed_while_a_code_is_asked_for() {
    let mut console = console().press(".");
    let mut recorded = String::new();
    for key in script("91<backspace>18273<enter>j").expect("script") {
        let msg = Msg::Key(key);
        let kept = hidden(&console.model, &msg)
            .map_or_else(|| serde_json::to_string(&msg), |msg| serde_json::to_string(&msg));
        recorded.push_str(&kept.expect("json"));
        console = console.msg(msg);
    }
    assert!(!recorded.chars().any(|c| c.is_ascii_digit()), "{recorded}");
    assert!(recorded.ends_with(r#"{"Key":"enter"}{"Key":"j"}"#), "{recorded}");

    // Played again, the dialog closes at the same key, and nothing that follows is typed into it.
    let mut replay = self::console().press(".").model;
    for line in recorded.split_inclusive('}') {
        let _ = update(&mut replay, serde_json::from_str(line).expect("a message"));
    }
    assert!(replay.overlay.is_none());
    assert_eq!(replay.ops.running.len(), console.model.ops.running.len());

    let console = self::console().press(".");
    let pasted = hidden(&console.model, &Msg::Paste(format!(" {CODE}\n"))).expect("hidden");
    assert!(!serde_json::to_string(&pasted).expect("json").contains("918"));
}
