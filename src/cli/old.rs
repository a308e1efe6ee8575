//! The command line of the original, `shepard_cli`: one command, options with underscores in any place, each with a
//! value.
//!
//! A command line is taken for one of those where the program is called `shepard_cli`, where an option or a command is
//! one that only the original has. Everything else is ours. What the options mean is `operations::old`'s.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::{Cli, Command, Global};
use crate::operations::old::OldCommand;

/// Declares the options once: field, the name in the profile or on the command line, what it is.
macro_rules! options {
    ($($field:ident: $doc:literal,)*) => {
        /// A command line of the original.
        #[derive(Debug, Clone, Default, Parser)]
        #[command(name = "shepard_cli", rename_all = "snake_case", disable_help_subcommand = true)]
        pub struct Old {
            /// Flags that every subcommand takes.
            #[command(flatten)]
            pub global: Global,
            /// What to do
            #[arg(default_value = "")]
            pub command: String,
            $(
                #[doc = $doc]
                #[arg(long = stringify!($field))]
                pub $field: Option<String>,
            )*
        }

        impl Old {
            /// What was typed, by the option's name.
            pub fn typed(&self) -> impl Iterator<Item = (&'static str, &str)> {
                [$((stringify!($field), self.$field.as_deref()),)*]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }

        const OPTIONS: &[&str] = &[$(stringify!($field),)*];
    };
}

options! {
    account_number: "Account of the role, 12 digits",
    role_to_assume_to_target_account: "Name of the role to assume there",
    path_to_docker_folder: "Folder to build",
    ecr_repo_to_push_to: "Name of the repository",
    path_to_local_folder_to_batch: "Folder to batch",
    s3_bucket_to_upload_to: "Inputs bucket",
    dynamo_db_to_query: "Job table",
    cloudformation_to_describe: "Stack",
    path_to_local_secrets: "Folder with a file for each secret",
    secret_store: "Secret, by name or ARN",
    s3_bucket_for_results: "Outputs bucket",
    directory_to_sync_s3_bucket_to: "Directory to bring results to",
    lambda_to_invoke: "Function that takes jobs",
    profile_name: "Profile",
    zip_name_override: "Key of the upload",
    json_payload: "Job, as a JSON object",
    mfa_token: "Code of the MFA device",
    serial_number: "The MFA device",
    use_env_variables: "True to use the current profile",
    dont_assume: "True to use the credentials that are there",
}

impl Cli {
    /// Reads a command line, ours or the original's.
    ///
    /// # Errors
    /// The parser's: what is wrong with it, or the help or version that was asked for.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        if !is_old(&args, &ours()) {
            return Self::try_parse_from(args);
        }
        let matches = Old::command().try_get_matches_from(args)?;
        let old = Old::from_arg_matches(&matches)?;
        Ok(Self { global: old.global.clone(), command: Some(Command::Old(Box::new(old))) })
    }
}

/// Our subcommands' names and their other names.
fn ours() -> Vec<String> {
    let tree = Cli::command();
    let names = |command: &clap::Command| {
        let others = command.get_all_aliases().map(str::to_owned);
        std::iter::once(command.get_name().to_owned()).chain(others).collect::<Vec<_>>()
    };
    let mut found: Vec<String> = tree.get_subcommands().flat_map(names).collect();
    found.push("help".to_owned());
    found
}

fn is_old(args: &[OsString], ours: &[String]) -> bool {
    let program = args.first().and_then(|program| Path::new(program).file_stem());
    if program.is_some_and(|name| name == "shepard_cli") {
        return true;
    }
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let option = |word: &str| {
        let name = word.strip_prefix("--").map(|name| name.split('=').next().unwrap_or(name));
        name.is_some_and(|name| OPTIONS.contains(&name))
    };
    // A word that is ours, such as a folder's name after it, is nothing of the original's; its options are.
    let first = words.iter().find(|word| !word.starts_with('-'));
    let is_ours = |word: &str| ours.iter().any(|name| name == word);
    if first.is_some_and(|word| is_ours(word) && OldCommand::named(word).is_none()) {
        return false;
    }
    let theirs = |word: &str| OldCommand::named(word).is_some() && !is_ours(word);
    first.is_some_and(|word| theirs(word)) || words.iter().any(|word| option(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split(' ').map(OsString::from))
    }

    fn old(line: &str) -> Option<Old> {
        match read(line).ok()?.command {
            Some(Command::Old(old)) => Some(*old),
            _ => None,
        }
    }

    #[test]
    fn a_command_line_of_the_original_is_known_by_its_options_its_commands_and_its_program() {
        let batch = old("shepard --account_number 1 batch --s3_bucket_to_upload_to=b").expect("old");
        assert_eq!(batch.command, "batch");
        let typed: Vec<_> = batch.typed().collect();
        assert_eq!(typed, [("account_number", "1"), ("s3_bucket_to_upload_to", "b")]);
        assert_eq!(old("shepard configure --profile_name x").expect("old").command, "configure");
        assert_eq!(old("shepard where_am_i").expect("old").command, "where_am_i");
        assert_eq!(old("/usr/bin/shepard_cli query").expect("old").command, "query");
        assert_eq!(old("shepard_cli").expect("old").command, "");
        assert!(old("shepard check_profile --output json").is_some());
        for ours in [
            "shepard",
            "shepard query --flock f",
            "shepard batch-api --json_payload {}",
            "shepard local create where_am_i",
            "shepard help",
        ] {
            assert!(old(ours).is_none(), "{ours}");
        }
        for wrong in
            ["shepard check_profile x", "shepard batch --account_number", "shepard_cli batch --nonsense 1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_key_of_a_profile_is_an_option() {
        for key in crate::operations::profiles::KEYS {
            assert!(OPTIONS.contains(&key), "{key}");
        }
        Old::command().debug_assert();
    }
}
