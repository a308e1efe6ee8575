//! Discovery against accounts in memory: pages, accounts that fail, names.

use std::collections::BTreeMap;
use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use shepard_cloud::ports::Page;
use shepard_cloud::stacks::{ChangeSet, Resource, StackEvent, StackRequest};
use shepard_model::stack::output;

use super::*;
use crate::cli::Global;
use crate::config::Dirs;
use crate::operations::Class;

/// Stacks of one account in pages of two; the page of this number fails.
#[derive(Default)]
struct Fake {
    stacks: Vec<Stack>,
    fails_at: Option<usize>,
    calls: AtomicUsize,
}

fn refused() -> CloudError {
    CloudError::new("list the stacks", "", Kind::Denied)
}

#[async_trait]
impl Stacks for Fake {
    async fn list(&self, from: Option<&str>) -> Result<Page<Stack>, CloudError> {
        self.calls.fetch_add(1, Relaxed);
        let page: usize = from.map_or(0, |from| from.parse().expect("a number"));
        if self.fails_at == Some(page) {
            return Err(refused());
        }
        let items: Vec<Stack> = self.stacks.iter().skip(page * 2).take(2).cloned().collect();
        let next = (self.stacks.len() > (page + 1) * 2).then(|| (page + 1).to_string());
        Ok(Page { items, next })
    }
    async fn describe(&self, name: &str) -> Result<Option<Stack>, CloudError> {
        self.calls.fetch_add(1, Relaxed);
        if self.fails_at.is_some() {
            return Err(refused());
        }
        Ok(self.stacks.iter().find(|stack| stack.name == name).cloned())
    }
    async fn resources(&self, _: &str) -> Result<Vec<Resource>, CloudError> {
        Err(refused())
    }
    async fn events(&self, _: &str, _: Option<&str>) -> Result<Page<StackEvent>, CloudError> {
        Err(refused())
    }
    async fn template(&self, _: &str) -> Result<String, CloudError> {
        Err(refused())
    }
    async fn create(&self, _: &StackRequest) -> Result<String, CloudError> {
        Err(refused())
    }
    async fn propose(&self, _: &StackRequest) -> Result<String, CloudError> {
        Err(refused())
    }
    async fn proposal(&self, _: &str) -> Result<ChangeSet, CloudError> {
        Err(refused())
    }
    async fn accept(&self, _: &str, _: &str) -> Result<(), CloudError> {
        Err(refused())
    }
    async fn reject(&self, _: &str) -> Result<(), CloudError> {
        Err(refused())
    }
    async fn delete(&self, _: &str, _: &[String], _: &str) -> Result<(), CloudError> {
        Err(refused())
    }
    async fn removed(&self, _: &str) -> Result<Option<String>, CloudError> {
        Err(refused())
    }
    async fn protect(&self, _: &str, _: bool) -> Result<(), CloudError> {
        Err(refused())
    }
    async fn cancel_update(&self, _: &str) -> Result<(), CloudError> {
        Err(refused())
    }
    async fn continue_rollback(&self, _: &str) -> Result<(), CloudError> {
        Err(refused())
    }
}

/// Accounts by label; the region of one that names none is `home-1`, if there is one.
struct World {
    accounts: BTreeMap<String, Arc<Fake>>,
    homeless: bool,
    opened: Arc<Plain<Vec<String>>>,
}

#[async_trait]
impl Reach for World {
    async fn region(&self, _: &Account) -> Option<String> {
        (!self.homeless).then(|| "home-1".to_owned())
    }
    async fn stacks(&self, account: &Account) -> Arc<dyn Stacks> {
        self.opened.lock().expect("lock").push(account.label());
        match self.accounts.get(&account.label()) {
            Some(fake) => Arc::clone(fake) as Arc<dyn Stacks>,
            None => Arc::new(Fake::default()),
        }
    }
}

struct Stopped(AtomicI64);

#[async_trait]
impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        self.0.load(Relaxed)
    }
    async fn sleep_ms(&self, _: u64) {}
}

fn ours(name: &str) -> Stack {
    let outputs =
        [(output::TEMPLATE.to_owned(), "2".to_owned()), (output::TABLE.to_owned(), name.to_owned())];
    Stack { name: name.into(), status: "CREATE_COMPLETE".into(), outputs: outputs.into(), ..Stack::default() }
}

fn foreign(name: &str) -> Stack {
    Stack { name: name.into(), ..Stack::default() }
}

fn config(accounts: &str, aws: bool) -> Config {
    let dirs = Dirs { data: "/d".into(), state: "/s".into(), config: "/nowhere".into() };
    Config { aws, ..Config::layered(dirs, accounts, &Global::default()).expect("usable") }
}

struct Set {
    register: Register,
    clock: Arc<Stopped>,
    opened: Arc<Plain<Vec<String>>>,
}

fn set(config: &Config, accounts: Vec<(&str, Arc<Fake>)>) -> Set {
    let opened = Arc::new(Plain::new(Vec::new()));
    let accounts = accounts.into_iter().map(|(label, fake)| (label.to_owned(), fake)).collect();
    let world = World { accounts, homeless: false, opened: Arc::clone(&opened) };
    let clock = Arc::new(Stopped(AtomicI64::new(1)));
    let register = Register::over(config, Box::new(world), Arc::<Stopped>::clone(&clock));
    Set { register, clock, opened }
}

fn fake(stacks: Vec<Stack>) -> Arc<Fake> {
    Arc::new(Fake { stacks, ..Fake::default() })
}

fn failing(stacks: Vec<Stack>, at: usize) -> Arc<Fake> {
    Arc::new(Fake { stacks, fails_at: Some(at), ..Fake::default() })
}

fn shown(found: &[Found]) -> Vec<String> {
    found
        .iter()
        .map(|found| match found {
            Found::Flock(flock) => flock.name.clone(),
            Found::Failed { account, error } => format!("{}: {}", account.label(), error.kind.word()),
        })
        .collect()
}

const TWO: &str = "[[accounts]]\nprofile = 'a'\nregion = 'r-1'\n[[accounts]]\nprofile = 'b'\nregion = 'r-1'\n\
                   colour = 'danger'\nread_only = true";

#[tokio::test]
async fn every_page_is_read_and_an_account_that_fails_hides_neither_the_others_nor_its_own_pages() {
    let a = failing(vec![ours("one"), foreign("web"), ours("lost")], 1);
    let b = fake(vec![foreign("web"), foreign("db"), ours("z"), foreign("c"), ours("m")]);
    let set = set(&config(TWO, false), vec![("a/r-1", a), ("b/r-1", b)]);
    let found = set.register.flocks().await;
    assert_eq!(shown(&found), ["one@a/r-1", "a/r-1: denied", "m@b/r-1", "z@b/r-1"]);
    let Found::Flock(flock) = &found[2] else { panic!("a flock") };
    assert_eq!(flock.table.as_deref(), Some("m"));
    let standing = set.register.standing(&flock.account);
    assert_eq!(standing, Standing { colour: Some("danger".into()), read_only: true });
}

#[tokio::test]
async fn without_an_aws_configuration_nothing_is_asked() {
    let set = set(&config("", false), vec![]);
    assert!(set.register.is_silent());
    assert!(set.register.flocks().await.is_empty());
    let error = set.register.find("demo").await.expect_err("none");
    assert_eq!(error.class(), Class::NotFound);
    assert!(set.opened.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn an_account_that_somebody_picks_is_asked_as_well() {
    let fakes = || vec![("a/r-1", fake(vec![ours("one")])), ("a/r-2", fake(vec![ours("prod")]))];
    let of = |region: &str| Account {
        profile: Some("a".into()),
        region: Some(region.into()),
        ..Account::default()
    };
    // In place of the environment's, and of the one that was picked before.
    let alone = set(&config("", true), fakes());
    alone.register.pick(&of("r-3"));
    alone.register.pick(&of("r-2"));
    assert_eq!(shown(&alone.register.flocks().await), ["prod@a/r-2"]);
    assert_eq!(alone.register.find("prod").await.expect("found").name, "prod@a/r-2");
    // Beside those of the configuration, each once.
    let beside = set(&config("[[accounts]]\nprofile = 'a'\nregion = 'r-1'", false), fakes());
    beside.register.pick(&of("r-1"));
    assert_eq!(shown(&beside.register.flocks().await), ["one@a/r-1"]);
    beside.register.refresh().await;
    beside.register.pick(&of("r-2"));
    assert_eq!(shown(&beside.register.flocks().await), ["one@a/r-1", "prod@a/r-2"]);
}

#[tokio::test]
async fn the_environments_account_is_asked_in_its_own_region() {
    let set = set(&config("", true), vec![("home-1", fake(vec![ours("prod")]))]);
    assert_eq!(shown(&set.register.flocks().await), ["prod@home-1"]);
    assert_eq!(set.register.find("prod").await.expect("found").name, "prod@home-1");
}

#[tokio::test]
async fn an_account_without_a_region_says_what_to_set() {
    let world = World { accounts: BTreeMap::new(), homeless: true, opened: Arc::default() };
    let clock = Arc::new(Stopped(AtomicI64::new(1)));
    let register = Register::over(&config("", true), Box::new(world), clock);
    let found = register.flocks().await;
    let [Found::Failed { error, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
}

#[tokio::test]
async fn an_answer_holds_for_a_while_and_no_longer_after_a_refresh() {
    let b = fake(vec![ours("prod")]);
    let set = set(&config("", true), vec![("home-1", Arc::clone(&b))]);
    set.register.flocks().await;
    set.register.flocks().await;
    assert_eq!(b.calls.load(Relaxed), 1);
    set.clock.0.fetch_add(FRESH_MS, Relaxed);
    set.register.clone().flocks().await;
    assert_eq!(b.calls.load(Relaxed), 2);
    set.register.refresh().await;
    set.register.flocks().await;
    assert_eq!(b.calls.load(Relaxed), 3);
}

#[tokio::test]
async fn a_full_name_costs_one_call_of_one_account_even_of_one_that_is_not_configured() {
    let (a, c) = (fake(vec![ours("prod")]), fake(vec![ours("x"), ours("prod")]));
    let set = set(&config(TWO, false), vec![("a/r-1", Arc::clone(&a)), ("c/r-9", Arc::clone(&c))]);
    let flock = set.register.find("prod@c/r-9").await.expect("found");
    assert_eq!(flock.name, "prod@c/r-9");
    assert_eq!((a.calls.load(Relaxed), c.calls.load(Relaxed)), (0, 1));
    assert_eq!(*set.opened.lock().expect("lock"), ["c/r-9"]);
}

#[tokio::test]
async fn a_stacks_name_is_enough_where_it_is_certain_what_is_meant() {
    let find = async |a: Arc<Fake>, b: Arc<Fake>, name: &str| {
        let set = set(&config(TWO, false), vec![("a/r-1", a), ("b/r-1", b)]);
        set.register.find(name).await.map_err(|error| (error.class(), error.to_string()))
    };
    let found = find(fake(vec![ours("x")]), fake(vec![ours("y")]), "y").await;
    assert_eq!(found.expect("found").name, "y@b/r-1");
    let (class, words) = find(fake(vec![ours("x")]), fake(vec![ours("x")]), "x").await.expect_err("two");
    assert_eq!(class, Class::Usage);
    assert!(words.contains("x@a/r-1, x@b/r-1"), "{words}");
    let (class, words) = find(fake(vec![ours("x")]), failing(vec![], 0), "x").await.expect_err("not certain");
    assert_eq!(class, Class::Refused);
    assert!(words.contains("x@a/r-1") && words.contains("b/r-1 could not be asked"), "{words}");
    let (class, words) = find(fake(vec![ours("x")]), fake(vec![ours("y")]), "z").await.expect_err("none");
    assert_eq!(class, Class::NotFound);
    assert!(words.contains("x@a/r-1, y@b/r-1"), "{words}");
}

#[tokio::test]
async fn a_stack_that_is_no_flock_is_told_from_none() {
    let set = set(&config("", true), vec![("home-1", fake(vec![foreign("web")]))]);
    let error = set.register.find("web@home-1").await.expect_err("no flock");
    assert_eq!(error.class(), Class::Refused);
    let error = set.register.find("shop@home-1").await.expect_err("no stack");
    assert_eq!(error.class(), Class::NotFound);
}
