//! What a command line of the original means: which options a command takes, what the current profile adds, and which
//! flock that is.
//!
//! Options win over the profile. An option that a command has no use for is an error, as it always was. What comes out
//! is a flock known by its parts' names alone, so that the operations of today carry it out with no other call than the
//! original made (docs/iam.md). Nothing here reads a file or asks AWS.

use std::collections::BTreeMap;

use shepard_model::stack::OF_PROFILE;
use shepard_model::{Account, AwsFlockInfo};

use super::error::{OperationError, Result};
use super::profiles::{PREFIX, Values, role_arn};

/// Declares the commands once: variant, word, what it must be given, what it may be given besides.
macro_rules! commands {
    ($($variant:ident = $word:literal, [$($required:literal),*], $also:expr;)*) => {
        /// The commands of the original.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum OldCommand {
            $(
                #[doc = concat!("`", $word, "`.")]
                $variant,
            )*
        }

        impl OldCommand {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is typed.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it must be given, as an option or by the profile.
            pub fn required(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($required),*],)* }
            }

            /// Options that it may be given besides.
            pub fn also(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $also,)* }
            }
        }
    };
}

/// How the role is had; what all that reach AWS take.
const AUTH: &[&str] = &["dont_assume", "mfa_token", "serial_number", "use_env_variables"];
const BATCH: &[&str] =
    &["zip_name_override", "dont_assume", "mfa_token", "serial_number", "use_env_variables"];
const ROLE: &[&str] = &["mfa_token", "serial_number", "use_env_variables"];

commands! {
    Deploy = "deploy",
        ["account_number", "role_to_assume_to_target_account", "path_to_docker_folder", "ecr_repo_to_push_to"], AUTH;
    Batch = "batch",
        ["account_number", "role_to_assume_to_target_account", "path_to_local_folder_to_batch",
         "s3_bucket_to_upload_to"], BATCH;
    BatchViaApi = "batch_via_api",
        ["account_number", "role_to_assume_to_target_account", "lambda_to_invoke", "json_payload"], AUTH;
    Query = "query", ["account_number", "role_to_assume_to_target_account", "dynamo_db_to_query"], AUTH;
    Describe = "describe",
        ["account_number", "role_to_assume_to_target_account", "cloudformation_to_describe"], AUTH;
    Secretify = "secretify",
        ["account_number", "role_to_assume_to_target_account", "path_to_local_secrets", "secret_store"], AUTH;
    Update = "update", [], &[];
    Configure = "configure", ["profile_name"], &[];
    CheckUpdate = "check_update", [], &[];
    Help = "help", [], &[];
    CheckProfile = "check_profile", [], &[];
    ClearProfileConfig = "clear_profile_config", [], &[];
    SetProfile = "set_profile", ["profile_name"], &[];
    DeleteProfile = "delete_profile", ["profile_name"], &[];
    WhereAmI = "where_am_i", [], &[];
    Retrieve = "retrieve",
        ["account_number", "role_to_assume_to_target_account", "s3_bucket_for_results",
         "directory_to_sync_s3_bucket_to"], AUTH;
    SetRole = "set_role", ["account_number", "role_to_assume_to_target_account"], ROLE;
    ReleaseRole = "release_role", [], &[];
    CheckRole = "check_role", [], &[];
}

impl OldCommand {
    /// The one of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.word() == word)
    }

    /// The original took its current profile into account.
    pub fn uses_profile(self) -> bool {
        self.required().contains(&"account_number")
    }
}

/// What a flock is called that only the options of one command line name.
const NAMELESS: &str = "-";

/// Whether a flock has no name that another command line could find it by.
pub fn is_nameless(flock: &str) -> bool {
    flock.strip_prefix(OF_PROFILE) == Some(NAMELESS)
}

/// Options as they were typed, by name.
pub type Typed<'a> = BTreeMap<&'a str, &'a str>;

/// Whether an option that is True or False is True.
///
/// # Errors
/// It is something else.
fn truth(typed: &Typed<'_>, option: &str, otherwise: bool) -> Result<bool> {
    match typed.get(option) {
        None => Ok(otherwise),
        Some(&"True") => Ok(true),
        Some(&"False") => Ok(false),
        Some(other) => Err(OperationError::Usage(format!("--{option} is True or False, and not {other:?}"))),
    }
}

/// Whether the current profile counts for a command line.
///
/// # Errors
/// `--use_env_variables` is neither True nor False.
pub fn wants_profile(command: OldCommand, typed: &Typed<'_>) -> Result<bool> {
    Ok(truth(typed, "use_env_variables", true)? && command.uses_profile())
}

/// What a command line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    values: BTreeMap<&'static str, String>,
    /// The flock, by the names that were given.
    pub target: AwsFlockInfo,
}

impl Meaning {
    /// A value that the command requires; empty for one that it does not.
    pub fn value(&self, option: &str) -> &str {
        self.values.get(option).map_or("", String::as_str)
    }

    /// A value that may be there.
    pub fn given(&self, option: &str) -> Option<&str> {
        self.values.get(option).map(String::as_str)
    }
}

/// What a command line means, with the current profile where there is one that counts.
///
/// # Errors
/// An option that the command does not take, one that is neither True nor False, and what is missing.
pub fn meaning(command: OldCommand, typed: &Typed<'_>, profile: Option<(&str, &Values)>) -> Result<Meaning> {
    let word = command.word();
    let (required, also) = (command.required(), command.also());
    let held = !matches!(command, OldCommand::Help | OldCommand::Update);
    if held
        && let Some((option, value)) =
            typed.iter().find(|(option, _)| !required.contains(option) && !also.contains(option))
    {
        // A code and a job's variables are nobody's to repeat.
        let value = match *option {
            "mfa_token" | "json_payload" => String::new(),
            _ => format!(" (given as {value:?})"),
        };
        return Err(OperationError::Usage(format!("{word} does not take --{option}{value}; leave it out")));
    }
    let assumes = !truth(typed, "dont_assume", false)?;
    let use_profile = truth(typed, "use_env_variables", true)?;
    let of_profile = |option: &str| profile.filter(|_| use_profile)?.1.get(option);
    let mut values = BTreeMap::new();
    for option in required.iter().chain(also) {
        let said = typed.get(option).map(|value| (*value).to_owned()).filter(|value| !value.is_empty());
        if let Some(value) = said.or_else(|| of_profile(option)) {
            values.insert(*option, value);
        }
    }
    let role = ["account_number", "role_to_assume_to_target_account"];
    let needless = |option: &str| !assumes && role.contains(&option);
    let missing = required.iter().find(|option| !values.contains_key(*option) && !needless(option));
    if let Some(option) = missing {
        let or = if required.contains(&"profile_name") || *option == "json_payload" {
            String::new()
        } else {
            format!(", or set {PREFIX}{option} in the current profile")
        };
        return Err(OperationError::Usage(format!("{word} needs --{option}: give it{or}")));
    }
    if let Some(number) = values.get("account_number")
        && assumes
        && !(number.len() == 12 && number.bytes().all(|digit| digit.is_ascii_digit()))
    {
        return Err(OperationError::Usage(format!("an account number has 12 digits; {number:?} has not")));
    }
    let arn = values.get(role[0]).zip(values.get(role[1])).map(|(account, role)| role_arn(account, role));
    let serial = values.get("serial_number").cloned();
    let account = Account { role: arn.filter(|_| assumes), serial, ..Account::default() };
    let named: BTreeMap<String, String> =
        values.iter().map(|(option, value)| ((*option).to_owned(), value.clone())).collect();
    let name = profile.filter(|_| use_profile).map_or(NAMELESS, |(name, _)| name);
    let target = AwsFlockInfo::from_profile(&account, name, &named);
    // It goes where it is needed and nowhere else.
    values.remove("mfa_token");
    Ok(Meaning { values, target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Class;

    fn profile() -> Values {
        let text = r#"{"shepard_cli_account_number": "123456789012", "shepard_cli_role_to_assume_to_target_account":
            "sheep", "shepard_cli_dynamo_db_to_query": "jobs", "shepard_cli_s3_bucket_to_upload_to": ""}"#;
        Values::parse(text).expect("a profile")
    }

    fn of(command: OldCommand, typed: &[(&str, &str)], profile: Option<&Values>) -> Result<Meaning> {
        meaning(command, &typed.iter().copied().collect(), profile.map(|values| ("mine", values)))
    }

    const WHO: [(&str, &str); 2] =
        [("account_number", "123456789012"), ("role_to_assume_to_target_account", "a/b")];

    #[test]
    fn options_win_over_the_profile_which_fills_what_is_missing() {
        let profile = profile();
        let found = of(OldCommand::Query, &[], Some(&profile)).expect("a query");
        assert_eq!(found.target.name, "profile:mine");
        assert_eq!(found.target.table.as_deref(), Some("jobs"));
        assert_eq!(found.target.account.role.as_deref(), Some("arn:aws:iam::123456789012:role/sheep"));
        let found = of(OldCommand::Query, &[("dynamo_db_to_query", "x")], Some(&profile)).expect("a query");
        assert_eq!(found.target.table.as_deref(), Some("x"));
        let ignored = [("use_env_variables", "False")];
        let error = of(OldCommand::Query, &ignored, Some(&profile)).expect_err("nothing is given");
        assert!(error.to_string().contains("--account_number"), "{error}");
    }

    #[test]
    fn what_is_cleared_is_missing_and_said_by_its_name() {
        let error = of(OldCommand::Batch, &[("path_to_local_folder_to_batch", "/x")], Some(&profile()));
        let error = error.expect_err("no bucket");
        assert_eq!(error.class(), Class::Usage);
        let words = error.to_string();
        assert!(words.starts_with("batch needs --s3_bucket_to_upload_to"), "{words}");
        assert!(words.contains("shepard_cli_s3_bucket_to_upload_to"), "{words}");
    }

    #[test]
    fn dont_assume_needs_no_role_and_keeps_an_account_that_was_given() {
        let only = [("dynamo_db_to_query", "t"), ("dont_assume", "True")];
        let found = of(OldCommand::Query, &only, None).expect("a query");
        assert_eq!((found.target.account.role, found.target.name.as_str()), (None, "profile:-"));
        let all = [&WHO[..], &only].concat();
        let found = of(OldCommand::Query, &all, None).expect("a query");
        assert_eq!((found.target.account.role.as_deref(), found.value("account_number")), (None, WHO[0].1));
        let found = of(OldCommand::Query, &[&WHO[..], &only[..1]].concat(), None).expect("a query");
        assert_eq!(found.target.account.role.as_deref(), Some("arn:aws:iam::123456789012:role/a/b"));
    }

    #[test]
    fn an_option_that_is_of_no_use_is_an_error_and_no_code_is_repeated() {
        let words =
            |command, typed: &[(&str, &str)]| of(command, typed, None).expect_err("refused").to_string();
        let found = words(OldCommand::Query, &[&WHO[..], &[("zip_name_override", "z")]].concat());
        assert!(found.contains("--zip_name_override") && found.contains("\"z\""), "{found}");
        assert!(words(OldCommand::SetRole, &[("dont_assume", "True")]).contains("--dont_assume"));
        let found = words(OldCommand::CheckRole, &[("mfa_token", "123456")]);
        assert!(found.contains("--mfa_token") && !found.contains("123456"), "{found}");
        let found = words(OldCommand::Configure, &[("profile_name", "x"), ("use_env_variables", "True")]);
        assert!(found.contains("--use_env_variables"), "{found}");
        for (option, value) in [("dont_assume", "true"), ("use_env_variables", "1")] {
            assert!(words(OldCommand::Query, &[(option, value)]).contains("True or False"));
        }
        assert!(
            words(OldCommand::Query, &[("account_number", "12"), WHO[1], ("dynamo_db_to_query", "t")])
                .contains("12 digits")
        );
    }

    #[test]
    fn a_code_is_kept_nowhere() {
        let typed =
            [&WHO[..], &[("mfa_token", "987654"), ("serial_number", "arn:x"), ("dynamo_db_to_query", "t")]];
        let found = of(OldCommand::Query, &typed.concat(), None).expect("a query");
        assert_eq!(found.target.account.serial.as_deref(), Some("arn:x"));
        assert!(!format!("{found:?}").contains("987654"));
    }
}
