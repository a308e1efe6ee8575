//! Who one is to AWS, and until when. A failure is an answer here: it says what a renewal takes.
//!
//! Without a session it is asked often: the files are read anew each time, so that a sign-in in another terminal, or a
//! code that was typed into another program, is noticed. With one, it is asked seldom.

use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::CloudError;
use shepard_cloud::aws::Profile;
use shepard_cloud::aws::identity::identity;
use shepard_cloud::aws::renew::{self, Needs};
use shepard_cloud::ports::{Clock as _, WallClock};
use shepard_model::Account;

use super::pump::Source;
use crate::app::Msg;
use crate::app::account::{IdentityNews, Renewal, Who};

/// How often, while all is well.
const SELDOM: Duration = Duration::from_secs(60);
/// How often, while there is no session.
const OFTEN: Duration = Duration::from_secs(3);
/// How often, while AWS does not answer as it should.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

/// How long to wait where the session ends then: not past its end.
fn until(ends_ms: i64) -> Duration {
    let left = u64::try_from(ends_ms - WallClock.now_ms()).unwrap_or(0);
    SELDOM.min(Duration::from_millis(left + 1_000))
}

/// Asks about one account.
#[derive(Debug)]
pub struct Identities {
    of: Account,
    last: Option<IdentityNews>,
    pause: Duration,
    asked: bool,
}

impl Identities {
    /// Of this account.
    pub fn new(of: Account) -> Self {
        Self { of, last: None, pause: SELDOM, asked: false }
    }
}

#[async_trait]
impl Source for Identities {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        // The pump reads on after news; once is enough for each pause.
        if std::mem::take(&mut self.asked) {
            return Ok(None);
        }
        self.asked = true;
        let profile = Profile::of(&self.of);
        let found = identity(&profile).await;
        self.pause = match &found {
            Ok(who) => who.expires_ms.map_or(SELDOM, until),
            Err(error) if super::kind(error.kind).is_of_the_session() => OFTEN,
            Err(_) => NOW_AND_THEN,
        };
        let renewal = match renew::needs(&profile).await {
            Ok(Needs::Code { serial, role }) => Renewal::Code { serial, role },
            Ok(Needs::SignIn(line)) => Renewal::SignIn(line),
            Ok(Needs::Nothing) | Err(_) => Renewal::Nothing,
        };
        let who = found.map(|who| Who {
            name: who.name().to_owned(),
            account: who.account,
            region: who.region,
            expires_ms: who.expires_ms,
        });
        let news =
            IdentityNews { of: self.of.clone(), who: who.map_err(|error| super::problem(&error)), renewal };
        if self.last.as_ref() == Some(&news) {
            return Ok(None);
        }
        self.last = Some(news.clone());
        Ok(Some(Msg::Identity(news)))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.asked = false;
    }
}
