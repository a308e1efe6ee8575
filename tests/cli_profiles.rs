//! Profiles and command lines of the original, as the built binary, in directories of its own.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use cli_support::{World, fails, json, ok, run, text};
use serde_json::json;

mod cli_support;

const OLD: &str = r#"{"shepard_cli_account_number": "123456789012", "shepard_cli_role_to_assume_to_target_account": "sheep", "shepard_cli_later": "x"}"#;

fn kept(world: &World) -> PathBuf {
    world.path().join("config/shepard/profiles")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Answers on standard input.
fn told(world: &World, arguments: &[&str], answers: &str) -> Output {
    let mut child = world
        .shepard(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn configure_takes_thirteen_lines_in_the_originals_order_and_saves_all_or_nothing() {
    let world = World::new();
    let configure = ["configure", "--profile_name", "mine"];
    let short = told(&world, &configure, "123456789012\nsheep\n");
    assert_eq!(short.status.code(), Some(2), "{}", said(&short));
    assert!(said(&short).contains("2 of 13") && !kept(&world).join("mine").exists());

    let lines = "123456789012\nsheep\n\n\n/batch me\nin\n\n\n\n\nout\n\n endpoint \n";
    let output = told(&world, &configure, lines);
    assert!(output.status.success(), "{}", said(&output));
    assert!(text(&output).starts_with("shepard_cli_account_number[]:shepard_cli_role_to_assume"));
    let expected = concat!(
        r#"{"shepard_cli_account_number": "123456789012", "shepard_cli_role_to_assume_to_target_account": "sheep", "#,
        r#""shepard_cli_path_to_local_folder_to_batch": "/batch me", "shepard_cli_s3_bucket_to_upload_to": "in", "#,
        r#""shepard_cli_s3_bucket_for_results": "out", "shepard_cli_lambda_to_invoke": "endpoint"}"#
    );
    assert_eq!(fs::read_to_string(kept(&world).join("mine")).unwrap(), expected);

    // Empty keeps, **CLEAR** takes away, and the prompt shows what is there.
    let again = told(&world, &configure, &format!("\n**CLEAR**\n{}", "\n".repeat(11)));
    assert!(text(&again).contains("shepard_cli_account_number[123456789012]:"), "{}", said(&again));
    let shown = json(&world, &["profiles", "show", "mine"]);
    assert_eq!(shown["values"]["account_number"], json!("123456789012"));
    assert_eq!(shown["values"]["role_to_assume_to_target_account"], json!(null));
    // It is not made the current one by that.
    assert_eq!(json(&world, &["profiles", "list"])["current"], json!(null));
    ok(&world, &["profiles", "configure", "mine", "--value", "secret_store=s", "--value", "account_number="]);
    let shown = json(&world, &["profiles", "show", "mine"]);
    assert_eq!(
        (&shown["values"]["secret_store"], &shown["values"]["account_number"]),
        (&json!("s"), &json!(null))
    );
}

#[test]
fn the_originals_commands_for_profiles_do_what_they_did_and_say_when_they_did_not() {
    let world = World::new();
    fs::create_dir_all(kept(&world)).unwrap();
    fs::write(kept(&world).join("mine"), OLD).unwrap();
    assert_eq!(fails(&world, &["set_profile", "--profile_name", "other"]), 3);
    ok(&world, &["set_profile", "--profile_name", "mine"]);
    assert_eq!(fs::read_to_string(kept(&world).join("current_shepard_profile_config.txt")).unwrap(), "mine");
    let checked = text(&ok(&world, &["check_profile"]));
    assert!(checked.contains("*  mine") && checked.contains("123456789012"), "{checked}");
    assert_eq!(text(&ok(&world, &["where_am_i"])).trim(), kept(&world).to_str().unwrap());
    ok(&world, &["clear_profile_config"]);
    assert!(said(&ok(&world, &["clear_profile_config"])).contains("no profile was"));
    assert_eq!(fails(&world, &["delete_profile", "--profile_name", "../shepard"]), 3);
    ok(&world, &["delete_profile", "--profile_name", "mine"]);
    assert_eq!(fails(&world, &["delete_profile", "--profile_name", "mine"]), 3);
    assert_eq!(fails(&world, &["configure"]), 2, "no name");
    assert_eq!(fails(&world, &["configure", "--profile_name", "a/b"]), 2);
    assert_eq!(fails(&world, &["check_profile", "--dont_assume", "True"]), 2, "of no use there");
    for harmless in [&["check_update"][..], &["update"], &["check_role"], &["release_role"]] {
        ok(&world, harmless);
    }
}

#[test]
fn an_old_directory_is_imported_and_read_beside_ours() {
    let world = World::new();
    let old = world.path().join("old");
    fs::create_dir_all(old.join("temp_store")).unwrap();
    for (name, text) in
        [("mine", OLD), ("lib.py", "import x"), ("current_shepard_profile_config.txt", "mine")]
    {
        fs::write(old.join(name), text).unwrap();
    }
    let path = old.to_str().unwrap();
    let beside = json(&world, &["--old-profiles", path, "profiles", "list"]);
    assert_eq!(beside["current"], json!("mine"));
    assert_eq!(beside["profiles"][0]["old"], json!(true));
    assert_eq!(fails(&world, &["--old-profiles", path, "profiles", "delete", "mine", "--yes"]), 4);
    assert_eq!(json(&world, &["profiles", "list"])["profiles"], json!([]));
    let files = json(&world, &["profiles", "import", path]);
    assert_eq!(files["files"], json!([{ "name": "mine", "fate": "imported" }]));
    assert_eq!(fs::read_to_string(kept(&world).join("mine")).unwrap(), OLD);
    assert_eq!(json(&world, &["profiles", "list"])["current"], json!("mine"));
}

#[test]
fn a_command_line_of_the_original_is_held_to_its_options() {
    let world = World::new();
    let says = |arguments: &[&str], words: &str| {
        let output = run(&world, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    };
    let who = ["--account_number", "123456789012", "--role_to_assume_to_target_account", "sheep"];
    says(&[&["query"], &who[..]].concat(), "query needs --dynamo_db_to_query");
    says(&["query", "--dynamo_db_to_query", "t"], "query needs --account_number");
    says(&[&["query", "--zip_name_override", "x"], &who[..]].concat(), "does not take --zip_name_override");
    says(&["query", "--dynamo_db_to_query", "t", "--dont_assume", "yes"], "True or False");
    says(&["shear", "--account_number", "1"], "there is no command");
    let output =
        run(&world, &[&["query", "--dynamo_db_to_query", "t", "--mfa_token", "12x456"], &who[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(!said(&output).contains("12x456"), "{}", said(&output));
    // What the profile lacks is missing; what it has is not.
    fs::create_dir_all(kept(&world)).unwrap();
    fs::write(kept(&world).join("mine"), OLD).unwrap();
    ok(&world, &["profiles", "set", "mine"]);
    says(&["query", "--use_env_variables", "True"], "query needs --dynamo_db_to_query");
    says(&["query", "--use_env_variables", "False"], "query needs --account_number");
}

#[test]
fn without_an_aws_configuration_flocks_are_listed_and_nothing_is_asked() {
    let world = World::new();
    ok(&world, &["local", "create", "f", "--command", "true"]);
    let all = json(&world, &["flocks"]);
    assert_eq!(all["flocks"][0]["name"], json!("f"));
    assert_eq!((&all["flocks"][0]["origin"], &all["failed"]), (&json!("local"), &json!([])));
}

#[test]
fn an_account_that_cannot_be_asked_hides_no_flock_of_this_machine() {
    let world = World::new();
    ok(&world, &["local", "create", "f", "--command", "true"]);
    fs::create_dir_all(world.path().join("config/shepard")).unwrap();
    let config = "[[accounts]]\nprofile = 'nobody'\nregion = 'eu-west-1'\n";
    fs::write(world.path().join("config/shepard/config.toml"), config).unwrap();
    let mut command = world.shepard(&["flocks", "--output", "json"]);
    let output = command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["flocks"][0]["name"], json!("f"));
    assert_eq!((&all["failed"][0]["profile"], &all["failed"][0]["kind"]), (&json!("nobody"), &json!("auth")));
}
