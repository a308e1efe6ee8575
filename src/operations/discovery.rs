//! Which flocks there are on AWS, found by asking: the stacks of this template, ours or the original's, in the accounts
//! and regions of `config.toml`.
//!
//! A stack says everything about itself, so that no profile is needed. An account that cannot be asked does not hide the
//! others. Where nothing on this machine says that AWS is used, nothing is asked. Nothing here changes anything.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use shepard_cloud::aws;
use shepard_cloud::ports::WallClock;
use shepard_cloud::stacks::{Stack, Stacks};
use shepard_cloud::{Clock, CloudError, Kind};
use shepard_model::stack::{OF_PROFILE, canonical, parts};
use shepard_model::{Account, AwsFlockInfo};
use tokio::sync::Mutex;

use super::error::{OperationError, Result};
use super::flock::Known;
use super::profiles::Store;
use crate::config::Config;
use crate::config::accounts::{self, AccountSetting, Standing};

/// For so long an answer is taken for the present, in milliseconds. Whoever wants to see a change at once refreshes.
const FRESH_MS: i64 = 30_000;
/// Accounts and regions that are asked at once: each is a connection of its own.
const AT_ONCE: usize = 8;

/// What was found in one account and region.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "almost all that is found are flocks")]
pub enum Found {
    /// A flock.
    Flock(AwsFlockInfo),
    /// An account that could not be asked.
    Failed {
        /// Which.
        account: Account,
        /// Why not. What came before the failure is not lost: it is among the flocks.
        error: Arc<CloudError>,
    },
}

/// How the accounts are reached. Asks nothing of AWS by itself, but for the region of a machine that has none set.
#[async_trait]
pub trait Reach: Send + Sync {
    /// The region that holds for an account which names none.
    async fn region(&self, account: &Account) -> Option<String>;
    /// Its stacks.
    async fn stacks(&self, account: &Account) -> Arc<dyn Stacks>;
}

/// The flocks on AWS. Clones share what they found.
#[derive(Clone)]
pub struct Register {
    inner: Arc<Inner>,
}

struct Inner {
    /// What is asked, before regions are known; empty where AWS is not used on this machine.
    asked: Vec<Account>,
    /// What somebody picked last. It comes beside the accounts of the configuration, and in place of the environment's.
    picked: std::sync::Mutex<Option<Account>>,
    settings: Vec<AccountSetting>,
    reach: Box<dyn Reach>,
    clock: Arc<dyn Clock>,
    /// Profiles of the old command, each of which names a flock.
    profiles: Store,
    /// A flock that a command line describes.
    given: Option<AwsFlockInfo>,
    /// The last answer and when it was whole. Whoever asks while it is being made waits for it.
    found: Mutex<Option<(i64, Vec<Found>)>>,
    /// Connections by account; making one reads files and the machine's TLS roots.
    open: Mutex<HashMap<Account, Arc<dyn Stacks>>>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

impl Register {
    /// The flocks of the accounts that the configuration names; of the environment's where it names none and there is
    /// an AWS configuration at all.
    pub fn new(config: &Config) -> Self {
        Self::over(config, Box::new(Aws), Arc::new(WallClock))
    }

    /// The same, reached otherwise.
    pub fn over(config: &Config, reach: Box<dyn Reach>, clock: Arc<dyn Clock>) -> Self {
        let mut asked: Vec<Account> = Vec::new();
        for account in config.accounts.iter().flat_map(AccountSetting::accounts) {
            if !asked.contains(&account) {
                asked.push(account);
            }
        }
        if asked.is_empty() && config.aws {
            asked.push(Account::default());
        }
        let inner = Inner {
            asked,
            picked: std::sync::Mutex::new(None),
            settings: config.accounts.clone(),
            profiles: Store::of(config),
            given: None,
            reach,
            clock,
            found: Mutex::new(None),
            open: Mutex::new(HashMap::new()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same, with a flock that a command line describes, which is found by its name.
    pub fn with(config: &Config, given: Option<AwsFlockInfo>) -> Self {
        let mut register = Self::new(config);
        if let Some(inner) = Arc::get_mut(&mut register.inner) {
            inner.given = given;
        }
        register
    }

    /// Nothing is ever asked: AWS is not used on this machine.
    pub fn is_silent(&self) -> bool {
        self.asked().is_empty()
    }

    /// Asks this account from now on, until another one is picked.
    pub fn pick(&self, account: &Account) {
        *self.inner.picked.lock().unwrap_or_else(PoisonError::into_inner) = Some(account.clone());
    }

    fn asked(&self) -> Vec<Account> {
        let picked = self.inner.picked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(picked) = picked else { return self.inner.asked.clone() };
        let mut asked = self.inner.asked.clone();
        asked.retain(|account| *account != Account::default() && *account != picked);
        asked.push(picked);
        asked
    }

    /// How an account stands out, and whether it may be changed.
    pub fn standing(&self, account: &Account) -> Standing {
        accounts::standing(&self.inner.settings, account)
    }

    /// Every flock, account by account in the order of the configuration, by name within one. An answer that is not
    /// half a minute old is given again.
    pub async fn flocks(&self) -> Vec<Found> {
        let mut last = self.inner.found.lock().await;
        if let Some((at, found)) = last.as_ref()
            && self.inner.clock.now_ms().saturating_sub(*at) < FRESH_MS
        {
            return found.clone();
        }
        let asked = stream::iter(self.asked()).map(|account| async move { self.of_account(&account).await });
        let found: Vec<Found> =
            asked.buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect();
        *last = Some((self.inner.clock.now_ms(), found.clone()));
        found
    }

    /// The next to ask gets a new answer: after a stack was made, changed or removed, and by the key that refreshes.
    pub async fn refresh(&self) {
        *self.inner.found.lock().await = None;
    }

    /// The flock of that name: `STACK@REGION`, `STACK@PROFILE/REGION`, `profile:NAME`, or a stack's name where only one
    /// account has it. Of a full name only that account is asked, in one call; of a profile's nobody is.
    ///
    /// # Errors
    /// There is none, with the names of those there are; several have the stack's name; the stack is no flock's; an
    /// account cannot be asked.
    pub async fn find(&self, name: &str) -> Result<AwsFlockInfo> {
        if let Some(given) = self.inner.given.as_ref().filter(|given| given.name == name) {
            return Ok(given.clone());
        }
        if let Some(profile) = name.strip_prefix(OF_PROFILE) {
            return Ok(self.inner.profiles.read(profile)?.flock(profile));
        }
        match parts(name) {
            Some((stack, profile, region)) => {
                let account = Account {
                    profile: profile.map(str::to_owned),
                    region: Some(region.to_owned()),
                    ..Account::default()
                };
                match self.stack(&account, stack).await? {
                    Some(flock) => Ok(flock),
                    None => Err(self.none(name, std::slice::from_ref(&account)).await),
                }
            }
            None if is_stack_name(name) => self.by_stack(name).await,
            None => Err(OperationError::Usage(format!(
                "no flock can be named {name:?}; on AWS a name is STACK@REGION, STACK@PROFILE/REGION or a stack's alone"
            ))),
        }
    }

    /// A flock by its stack's name alone.
    async fn by_stack(&self, name: &str) -> Result<AwsFlockInfo> {
        let asked = stream::iter(self.asked()).map(|account| async move {
            match self.located(&account).await {
                Ok(account) => (account.clone(), self.stack(&account, name).await),
                Err(error) => (account, Err(error.into())),
            }
        });
        let answers: Vec<(Account, Result<Option<AwsFlockInfo>>)> = asked.buffered(AT_ONCE).collect().await;
        let (mut flocks, mut failed) = (Vec::new(), Vec::new());
        for (account, answer) in answers {
            match answer {
                Ok(flock) => flocks.extend(flock),
                Err(error) => failed.push((account, error)),
            }
        }
        match (flocks.len(), failed.is_empty()) {
            (1, true) => flocks.pop().ok_or_else(|| OperationError::NotFound(name.to_owned())),
            (0, true) => Err(self.none(name, &self.asked()).await),
            (0, false) if failed.len() == 1 => Err(failed.remove(0).1),
            (0, false) => {
                let (account, error) = failed.remove(0);
                let others = failed.len();
                Err(OperationError::Environment(format!(
                    "no flock named {name} was found, and {others} more accounts than {} could not be asked: {error}",
                    account.label()
                )))
            }
            // Another account may have a flock of the same name: what is meant is not certain.
            (_, false) => {
                let (account, error) = failed.remove(0);
                Err(OperationError::Refused(format!(
                    "{} has a flock named {name}, but {} could not be asked whether it has one too ({error}); give \
                     the full name",
                    listed(&flocks),
                    account.label()
                )))
            }
            _ => Err(OperationError::Usage(format!(
                "several flocks are named {name}: {}; give the full name",
                listed(&flocks)
            ))),
        }
    }

    /// Says that there is no such flock, and which there are.
    async fn none(&self, name: &str, accounts: &[Account]) -> OperationError {
        if accounts.is_empty() {
            return OperationError::NotFound(format!(
                "there is no flock named {name}, and this machine has no AWS configuration; docs/profiles.md says \
                 where flocks are looked for"
            ));
        }
        let mut names = Vec::new();
        for account in accounts {
            for found in self.of_account(account).await {
                match found {
                    Found::Flock(flock) => names.push(flock.name),
                    Found::Failed { account, .. } => {
                        names.push(format!("{} could not be asked", account.label()));
                    }
                }
            }
        }
        let others = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        OperationError::NotFound(format!("there is no flock named {name}; on AWS there are: {others}"))
    }

    /// One stack as a flock; None where there is no such stack.
    async fn stack(&self, account: &Account, stack: &str) -> Result<Option<AwsFlockInfo>> {
        let stacks = self.open(account).await;
        let Some(found) = stacks.describe(stack).await? else { return Ok(None) };
        match flock(account, &found) {
            Some(flock) => Ok(Some(flock)),
            None => Err(OperationError::Refused(format!(
                "{} is no flock: the stack has neither the outputs nor the parameters of one",
                canonical(stack, account)
            ))),
        }
    }

    /// The flocks of one account, and why not all where it could not be read to its end.
    async fn of_account(&self, account: &Account) -> Vec<Found> {
        let account = match self.located(account).await {
            Ok(account) => account,
            Err(error) => return vec![Found::Failed { account: account.clone(), error: Arc::new(error) }],
        };
        let stacks = self.open(&account).await;
        let (mut flocks, mut failed, mut from) = (Vec::new(), None, None::<String>);
        loop {
            match stacks.list(from.as_deref()).await {
                Ok(page) => {
                    flocks.extend(page.items.iter().filter_map(|stack| flock(&account, stack)));
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
                // What other pages said stays: one failure is no reason to show nothing.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        flocks.sort_by(|a, b| a.name.cmp(&b.name));
        let failed = failed.map(|error| Found::Failed { account: account.clone(), error: Arc::new(error) });
        flocks.into_iter().map(Found::Flock).chain(failed).collect()
    }

    /// The account with its region.
    async fn located(&self, account: &Account) -> Result<Account, CloudError> {
        if account.region.is_some() {
            return Ok(account.clone());
        }
        let region = self.inner.reach.region(account).await.ok_or_else(|| {
            let whose = account.profile.as_deref().unwrap_or("the environment");
            CloudError::new("find the region of", whose, Kind::Invalid)
                .because("none is set; set AWS_REGION, or region in ~/.aws/config")
        })?;
        Ok(Account { region: Some(region), ..account.clone() })
    }

    async fn open(&self, account: &Account) -> Arc<dyn Stacks> {
        let mut open = self.inner.open.lock().await;
        if let Some(stacks) = open.get(account) {
            return Arc::clone(stacks);
        }
        let stacks = self.inner.reach.stacks(account).await;
        open.insert(account.clone(), Arc::clone(&stacks));
        stacks
    }
}

#[async_trait]
impl Known for Register {
    async fn find(&self, name: &str) -> Result<AwsFlockInfo> {
        Self::find(self, name).await
    }

    fn standing(&self, account: &Account) -> Standing {
        Self::standing(self, account)
    }
}

/// A stack as a flock; None where it is none.
fn flock(account: &Account, stack: &Stack) -> Option<AwsFlockInfo> {
    AwsFlockInfo::of_stack(account, &stack.name, &stack.status, &stack.outputs, &stack.parameters)
}

/// Whether CloudFormation takes a name for a stack's. Those of this machine may have a `_` besides.
fn is_stack_name(name: &str) -> bool {
    let usual = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(usual)
}

fn listed(flocks: &[AwsFlockInfo]) -> String {
    flocks.iter().map(|flock| flock.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// AWS itself.
struct Aws;

#[async_trait]
impl Reach for Aws {
    async fn region(&self, account: &Account) -> Option<String> {
        aws::region_of(&aws::Profile::of(account)).await
    }

    async fn stacks(&self, account: &Account) -> Arc<dyn Stacks> {
        Arc::new(aws::stacks_of(&aws::Profile::of(account)).await)
    }
}

#[cfg(test)]
mod tests;
