//! Who the console is to AWS, as data: the account that is looked at, until when its session lasts, and what a renewal
//! takes. Nothing here asks anybody, and a code is never part of a message, a recording or a Debug.

use std::fmt;

use serde::{Deserialize, Serialize};
use shepard_model::{Account, MfaCode, mfa, stack};
use zeroize::Zeroizing;

use super::key::{Code, Key};
use super::model::Model;
use super::nav::Place;
use super::remote::{Problem, ProblemKind, Remote};

/// What a recording holds in place of a key that was typed into the dialog of a code.
pub const HIDDEN: char = '*';

/// A session with less left than this, in milliseconds, is warned of.
pub const SOON_MS: i64 = 10 * 60_000;

/// Who one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Number of the account.
    pub account: String,
    /// Name of the role or the user.
    pub name: String,
    /// Region that is asked; None where none is set.
    pub region: Option<String>,
    /// When the session ends, in milliseconds since the epoch; None where nobody says.
    pub expires_ms: Option<i64>,
}

/// What a renewal takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Renewal {
    /// Nothing of a person's: asking again is enough.
    #[default]
    Nothing,
    /// A code.
    Code {
        /// Of this device.
        serial: String,
        /// For this role, by its ARN.
        role: String,
    },
    /// This command line, in another terminal.
    SignIn(String),
}

/// What the feed says of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityNews {
    /// Of which.
    pub of: Account,
    /// Who one is there, or why that cannot be said.
    pub who: Result<Who, Problem>,
    /// What a renewal takes.
    pub renewal: Renewal,
}

/// What a person can pick from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Choices {
    /// Profiles by name, each with a few words.
    pub profiles: Vec<(String, String)>,
    /// Regions.
    pub regions: Vec<String>,
}

/// The account that is looked at.
#[derive(Debug, Default)]
pub struct Standing {
    /// The account that was picked; None shows that of the flock alone.
    pub chosen: Option<Account>,
    /// Whom the rest is about.
    pub of: Option<Account>,
    /// Who one is.
    pub who: Remote<Who>,
    /// What a renewal takes.
    pub renewal: Renewal,
    /// Counted up to ask again at once.
    pub again: u32,
}

impl Standing {
    /// Takes what the feed says. What it says of an account that is not looked at any more is late.
    pub fn take(&mut self, news: IdentityNews, now_ms: i64) {
        if self.of.as_ref() != Some(&news.of) {
            *self = Self { chosen: self.chosen.take(), again: self.again, ..Self::default() };
            self.of = Some(news.of);
        }
        self.renewal = news.renewal;
        self.who.take(news.who, now_ms);
    }

    /// Why there is no session, if there is none: whoever asks AWS waits until there is one.
    pub fn lost(&self, now_ms: i64) -> Option<Problem> {
        if let Some(problem) = &self.who.problem {
            return problem.kind.is_of_the_session().then(|| problem.clone());
        }
        let ended = self.left_ms(now_ms).is_some_and(|left| left <= 0);
        ended.then(|| Problem::new(ProblemKind::Expired, "the session has expired"))
    }

    /// How long the session still lasts, in milliseconds.
    pub fn left_ms(&self, now_ms: i64) -> Option<i64> {
        Some(self.who.value.as_ref()?.expires_ms? - now_ms)
    }
}

/// The account of a flock, by its name; None for a flock of this machine, and for one of a profile of the old command,
/// whose name does not say it.
pub fn account_of(flock: &str) -> Option<Account> {
    let (_, profile, region) = stack::parts(flock)?;
    let region = (region != "default").then(|| region.to_owned());
    Some(Account { profile: profile.map(str::to_owned), region, ..Account::default() })
}

/// The account that is looked at: the flock's, else the one that was picked.
pub fn looked_at(model: &Model) -> Option<Account> {
    match model.nav.place().flock() {
        Some(flock) => account_of(flock),
        None => match model.nav.place() {
            Place::Journal => None,
            _ => model.account.chosen.clone(),
        },
    }
}

/// Why nothing is asked of AWS for what is looked at, if it is so.
pub fn paused(model: &Model) -> Option<Problem> {
    let looked_at = looked_at(model)?;
    (model.account.of.as_ref() == Some(&looked_at)).then(|| model.account.lost(model.now_ms)).flatten()
}

/// What is typed into the dialog of a code.
pub struct CodeEntry {
    /// For which account.
    pub account: Account,
    /// The device, by its ARN or serial number.
    pub serial: String,
    /// ARN of the role.
    pub role: String,
    digits: Zeroizing<String>,
}

impl fmt::Debug for CodeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeEntry").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// What a key said to the dialog of a code.
#[derive(Debug)]
pub enum Typed {
    /// Nothing yet.
    Open,
    /// Leave it.
    Cancel,
    /// Renew with this. None in a replay, which knows no code.
    Renew(Option<MfaCode>),
}

impl CodeEntry {
    /// Empty.
    pub fn new(account: Account, serial: String, role: String) -> Self {
        // With room for all of it, so that growing leaves no copy behind.
        let digits = Zeroizing::new(String::with_capacity(mfa::DIGITS));
        Self { account, serial, role, digits }
    }

    /// How much is typed.
    pub fn typed(&self) -> usize {
        self.digits.len()
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Typed {
        match key {
            Key { code: Code::Esc, .. } | Key { code: Code::Char('c'), ctrl: true, .. } => {
                return Typed::Cancel;
            }
            Key { code: Code::Backspace, .. } => drop(self.digits.pop()),
            Key { code: Code::Char('u'), ctrl: true, .. } => self.digits.clear(),
            Key { code: Code::Enter, .. } if self.digits.len() == mfa::DIGITS => {
                return Typed::Renew(MfaCode::parse(&self.digits).ok());
            }
            _ => {
                if let Some(c) = key.typed() {
                    self.push(c);
                }
            }
        }
        Typed::Open
    }

    /// Takes what was pasted.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars() {
            self.push(c);
        }
    }

    fn push(&mut self, c: char) {
        if self.digits.len() < mfa::DIGITS && (c.is_ascii_digit() || c == HIDDEN) {
            self.digits.push(c);
        }
    }
}

/// A message as a recording may hold it: what is typed while a code is asked for becomes [`HIDDEN`], as many times.
/// None for a message that may be written down as it is.
pub fn hidden(model: &Model, msg: &super::Msg) -> Option<super::Msg> {
    use super::Msg;
    use super::overlay::Overlay;
    if !matches!(model.overlay, Some(Overlay::Code(_))) {
        return None;
    }
    match msg {
        Msg::Key(key) if key.typed().is_some() => Some(Msg::Key(Key::plain(Code::Char(HIDDEN)))),
        Msg::Paste(text) => {
            let digits = text.chars().filter(char::is_ascii_digit).take(mfa::DIGITS).count();
            Some(Msg::Paste(HIDDEN.to_string().repeat(digits)))
        }
        _ => None,
    }
}

/// A list to pick from.
#[derive(Debug)]
pub struct Pick {
    /// What is picked.
    pub what: Picked,
    /// The names, each with a few words; None until they are read.
    pub items: Option<Vec<(String, String)>>,
    /// Which is under the cursor.
    pub selected: usize,
    /// What the names are to contain.
    pub typed: String,
}

/// What is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// A profile of `~/.aws/config`.
    Profile,
    /// A region.
    Region,
}

/// The name in the list for what the environment says by itself.
pub const AS_IT_IS: &str = "(as the environment says)";

impl Pick {
    /// Nothing is read yet.
    pub fn new(what: Picked) -> Self {
        Self { what, items: None, selected: 0, typed: String::new() }
    }

    /// Takes what there is, with the current one under the cursor.
    pub fn fill(&mut self, choices: &Choices, current: Option<&Account>) {
        let as_it_is = (AS_IT_IS.to_owned(), String::new());
        let (items, now): (Vec<_>, Option<&String>) = match self.what {
            Picked::Profile => {
                (choices.profiles.clone(), current.and_then(|account| account.profile.as_ref()))
            }
            Picked::Region => (
                choices.regions.iter().map(|region| (region.clone(), String::new())).collect(),
                current.and_then(|account| account.region.as_ref()),
            ),
        };
        let items: Vec<(String, String)> = std::iter::once(as_it_is).chain(items).collect();
        self.selected = now.and_then(|now| items.iter().position(|(name, _)| name == now)).unwrap_or(0);
        self.items = Some(items);
    }

    /// Those that contain what is typed.
    pub fn shown(&self) -> Vec<&(String, String)> {
        let items = self.items.iter().flatten();
        items.filter(|(name, _)| name.contains(&self.typed)).collect()
    }

    /// Takes a key: None while the list stays open, then what was picked, if anything was.
    pub fn key(&mut self, key: Key) -> Option<Option<String>> {
        let last = self.shown().len().saturating_sub(1);
        match key {
            Key { code: Code::Esc, .. } | Key { code: Code::Char('c'), ctrl: true, .. } => return Some(None),
            Key { code: Code::Enter, .. } => {
                return self.shown().get(self.selected).map(|(name, _)| Some(name.clone()));
            }
            Key { code: Code::Down, .. } => self.selected = (self.selected + 1).min(last),
            Key { code: Code::Up, .. } => self.selected = self.selected.saturating_sub(1),
            Key { code: Code::PageDown, .. } => self.selected = (self.selected + 10).min(last),
            Key { code: Code::PageUp, .. } => self.selected = self.selected.saturating_sub(10),
            Key { code: Code::Backspace, .. } => {
                self.typed.pop();
                self.selected = 0;
            }
            _ => {
                if let Some(c) = key.typed() {
                    self.typed.push(c);
                    self.selected = 0;
                }
            }
        }
        None
    }
}

/// The account after something was picked.
pub fn picked(before: Option<&Account>, what: Picked, name: &str) -> Account {
    let mut account = before.cloned().unwrap_or_default();
    let name = (name != AS_IT_IS).then(|| name.to_owned());
    match what {
        // A role was to be assumed with the profile that was there before.
        Picked::Profile => account = Account { profile: name, region: account.region, ..Account::default() },
        Picked::Region => account.region = name,
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::script;

    #[test]
    fn a_flocks_name_says_its_account() {
        assert_eq!(account_of("demo"), None);
        let of = |name: &str| account_of(name).map(|account| (account.profile, account.region));
        assert_eq!(of("s@eu-west-1"), Some((None, Some("eu-west-1".to_owned()))));
        assert_eq!(of("s@work/eu-west-1"), Some((Some("work".to_owned()), Some("eu-west-1".to_owned()))));
        assert_eq!(of("profile:old"), None);
    }

    #[test]
    fn a_code_is_typed_corrected_and_in_no_debug() {
        let mut entry = CodeEntry::new(Account::default(), "mfa/me".into(), "role/r".into());
        for key in script("91x8<backspace>827<enter>").expect("script") {
            assert!(matches!(entry.key(key), Typed::Open), "{key}");
        }
        assert_eq!(entry.typed(), 5, "the x is no digit, and one went");
        entry.paste("4455");
        assert_eq!(entry.typed(), 6);
        let shown = format!("{entry:?}");
        assert!(!shown.contains("918") && !shown.contains("digits"), "{shown}");
        match entry.key(Key::plain(Code::Enter)) {
            Typed::Renew(Some(code)) => assert_eq!(code.reveal(), "918274"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_picked_profile_keeps_the_region_and_a_region_the_profile() {
        let account = picked(None, Picked::Profile, "work");
        assert_eq!((account.profile.as_deref(), account.region.as_deref()), (Some("work"), None));
        let account = picked(Some(&account), Picked::Region, "eu-west-1");
        assert_eq!(
            (account.profile.as_deref(), account.region.as_deref()),
            (Some("work"), Some("eu-west-1"))
        );
        let account = picked(Some(&account), Picked::Profile, AS_IT_IS);
        assert_eq!((account.profile.as_deref(), account.region.as_deref()), (None, Some("eu-west-1")));
    }
}
