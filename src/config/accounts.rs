//! Which accounts and regions of AWS are looked through for flocks, and how they stand out.
//!
//! Nothing here asks AWS, and without any AWS configuration on this machine nobody will.

use std::path::PathBuf;

use serde::Deserialize;
use shepard_model::Account;

/// Roles of the theme that may make an account stand out.
pub const COLOURS: [&str; 6] = ["danger", "warn", "ok", "info", "accent", "muted"];

/// An account of `config.toml`, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSetting {
    /// Profile of `~/.aws/config`; None is what the environment says.
    pub profile: Option<String>,
    /// One region.
    region: Option<String>,
    /// Several regions.
    regions: Vec<String>,
    /// How its name is drawn: one of [`COLOURS`].
    #[serde(deserialize_with = "colour")]
    pub colour: Option<String>,
    /// Refuse what changes a flock of it.
    pub read_only: bool,
}

/// How an account stands out, and what is refused there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Role of the theme that its name is drawn in; None is the usual one.
    pub colour: Option<String>,
    /// What changes a flock of it is refused.
    pub read_only: bool,
}

impl AccountSetting {
    /// The account in each of its regions; in the profile's own where none is named.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + '_ {
        let named = self.region.iter().chain(&self.regions).map(|region| Some(region.clone()));
        let own = (self.region.is_none() && self.regions.is_empty()).then_some(None);
        named.chain(own).map(|region| Account { profile: self.profile.clone(), region, ..Account::default() })
    }

    /// What it says holds for this account: the same profile and, where it names regions, one of them.
    pub fn is_of(&self, account: &Account) -> bool {
        self.profile == account.profile
            && self.accounts().any(|own| own.region.is_none() || own.region == account.region)
    }
}

/// How an account stands out by these settings. Where several are of it, the strictest and the first colour hold.
pub fn standing(settings: &[AccountSetting], account: &Account) -> Standing {
    let of = || settings.iter().filter(|setting| setting.is_of(account));
    Standing {
        colour: of().find_map(|setting| setting.colour.clone()),
        read_only: of().any(|setting| setting.read_only),
    }
}

/// Anything on this machine says that AWS is used: a variable of the SDK's, or one of its files.
pub fn aws_is_configured() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let variables = [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let file = |variable: &str, name: &str| {
        let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws").join(name));
        set(variable).map(PathBuf::from).or_else(usual).is_some_and(|path| path.is_file())
    };
    variables.iter().any(|name| set(name).is_some())
        || file("AWS_CONFIG_FILE", "config")
        || file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn colour<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let word = String::deserialize(from)?;
    if COLOURS.contains(&word.as_str()) {
        Ok(Some(word))
    } else {
        Err(serde::de::Error::custom(format!("no colour {word:?}; choose {}", COLOURS.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> AccountSetting {
        toml::from_str(text).expect("usable")
    }

    fn account(profile: Option<&str>, region: Option<&str>) -> Account {
        Account {
            profile: profile.map(str::to_owned),
            region: region.map(str::to_owned),
            ..Account::default()
        }
    }

    #[test]
    fn an_account_is_asked_in_each_of_its_regions_or_in_the_profiles_own() {
        let two = setting("profile = 'work'\nregions = ['eu-west-1', 'us-east-1']");
        let (west, east) =
            (account(Some("work"), Some("eu-west-1")), account(Some("work"), Some("us-east-1")));
        assert_eq!(two.accounts().collect::<Vec<_>>(), [west, east]);
        assert_eq!(setting("region = 'r-1'").accounts().collect::<Vec<_>>(), [account(None, Some("r-1"))]);
        assert_eq!(setting("profile = 'x'").accounts().collect::<Vec<_>>(), [account(Some("x"), None)]);
    }

    #[test]
    fn production_is_read_only_and_coloured_wherever_its_profile_is_used() {
        let settings = [
            setting("profile = 'prod'\ncolour = 'danger'\nread_only = true"),
            setting("profile = 'work'\nregion = 'eu-west-1'\ncolour = 'ok'"),
        ];
        let prod = standing(&settings, &account(Some("prod"), Some("us-east-1")));
        assert_eq!(prod, Standing { colour: Some("danger".into()), read_only: true });
        assert_eq!(standing(&settings, &account(Some("work"), Some("us-east-1"))), Standing::default());
        assert_eq!(standing(&settings, &account(None, Some("eu-west-1"))), Standing::default());
    }

    #[test]
    fn a_colour_is_a_role_of_the_theme_and_a_mistyped_setting_is_refused() {
        for bad in ["colour = '#ff0000'", "readonly = true", "regions = 'eu-west-1'"] {
            assert!(toml::from_str::<AccountSetting>(bad).is_err(), "{bad}");
        }
    }
}
