use shepard_model::Outcome;

use crate::app::effect::{Command, Effect};
use crate::app::msg::{FlockRow, Msg};
use crate::app::nav::Place;
use crate::screens::testing::{Console, finished, queued, running};

fn flock(running: bool, unseen: bool) -> Msg {
    Msg::Flocks(vec![FlockRow { name: "demo".to_owned(), running, unseen, ..FlockRow::default() }])
}

fn starts(console: &Console) -> usize {
    console.effects.iter().filter(|e| matches!(e, Effect::Run(_, Command::StartFlock { .. }))).count()
}

fn jobs() -> Console {
    Console::new().at(Place::Jobs { flock: "demo".to_owned() })
}

#[test]
fn an_upload_into_a_flock_that_nobody_looks_after_starts_it_once() {
    let console = Console::new().msg(flock(false, true)).msg(flock(false, true));
    assert_eq!(starts(&console), 1, "one that does not start is not started again and again");
    let console = console.msg(flock(true, false)).msg(flock(false, true));
    assert_eq!(starts(&console), 2, "the next upload is another matter");
}

#[test]
fn a_read_only_session_starts_nothing() {
    let mut console = Console::new();
    console.model.session.read_only = true;
    assert_eq!(starts(&console.msg(flock(false, true))), 0);
}

#[test]
fn jobs_that_wait_for_nobody_say_so_and_name_the_key() {
    let console = jobs().job(&queued("a.zip")).msg(flock(false, false));
    assert!(console.body().contains("nobody looks after demo, and 1 job to run"), "{}", console.body());
    assert!(console.body().contains("z start"), "{}", console.body());
    assert_eq!(starts(&console.press("z")), 1);
    let console = jobs().job(&queued("a.zip")).msg(flock(true, false));
    assert!(!console.body().contains("nobody"), "{}", console.body());
}

#[test]
fn terminating_several_asks_for_the_typed_name_and_leaves_what_has_ended() {
    let console =
        jobs().job(&running("a.zip")).job(&running("b.zip")).job(&finished("c.zip", Outcome::Failed));
    let console = console.press("*X");
    assert!(console.commands().is_empty(), "nothing before the name is typed");
    let console = console.press("dem<enter>");
    assert!(console.commands().is_empty(), "nor with half of it");
    let console = console.press("o<enter>");
    let [Command::Terminate { ids, .. }] = console.commands()[..] else { panic!("{:?}", console.effects) };
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_filter_works_while_it_is_typed_and_escape_brings_back_what_was() {
    let console = jobs().job(&running("alpha.zip")).job(&running("beta.zip")).press("/alp");
    assert!(!console.body().contains("beta"), "{}", console.body());
    let console = console.press("<esc>");
    assert!(console.body().contains("beta"), "{}", console.body());
    let console = console.press("/state:nonsense<enter>");
    assert!(console.said().iter().any(|said| said.starts_with("filter:")), "{:?}", console.said());
}
