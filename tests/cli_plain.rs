//! The built binary where no flock is needed: help, exit codes, paths, configuration, generated text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli_support;

use std::fs;

use cli_support::{World, fails, json, ok, text};
use serde_json::Value;

#[test]
fn each_class_of_failure_has_its_exit_code() {
    let world = World::new();
    assert_eq!(fails(&world, &["--no-such-flag"]), 2);
    assert_eq!(fails(&world, &["query"]), 2, "no flock named");
    assert_eq!(fails(&world, &["query", "--flock", "nobody"]), 3);
    assert_eq!(fails(&world, &["query", "--flock", "No/Name"]), 2);
    assert_eq!(fails(&world, &["local", "create", "x", "--command", "sh -c 'open"]), 2);
    assert_eq!(fails(&world, &["local", "create", "x", "--quick-deploy", "/nonexistent"]), 3);
    assert_eq!(fails(&world, &["--read-only", "local", "create", "x"]), 4);
    assert_eq!(fails(&world, &["console"]), 2, "no terminal");
    fs::remove_dir_all(world.path().join("state/shepard")).unwrap();
    fs::write(world.path().join("state/shepard"), "in the way").unwrap();
    assert_eq!(fails(&world, &["info"]), 5, "the state directory cannot be made");
}

#[test]
fn an_error_is_one_object_where_json_was_asked_for() {
    let world = World::new();
    let output = world.shepard(&["query", "--flock", "nobody", "--output", "json"]).output().unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "not_found");
    assert!(error["error"]["message"].as_str().unwrap().contains("nobody"));
    assert!(output.stdout.is_empty());
}

#[test]
fn read_only_comes_from_the_flag_the_environment_or_the_file() {
    let world = World::new();
    let create = ["local", "create", "x", "--command", "true"];
    let output = world.shepard(&create).env("SHEPARD_READ_ONLY", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let config = world.path().join("config/shepard");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "read_only = true\nnews = 1\n").unwrap();
    assert_eq!(fails(&world, &create), 4);
    let info = json(&world, &["info"]);
    assert_eq!(info["config"]["read_only"], true);
    assert_eq!(info["config"]["unknown_keys"], serde_json::json!(["news"]));
    fs::write(config.join("config.toml"), "theme = 3\n").unwrap();
    assert_eq!(fails(&world, &["info"]), 2, "a file that is wrong is not skipped");
}

#[test]
fn info_names_paths_below_the_xdg_directories() {
    let world = World::new();
    let info = json(&world, &["info"]);
    for (name, dir) in [("data", "data"), ("state", "state"), ("log", "state"), ("config", "config")] {
        let path = info["paths"][name].as_str().unwrap();
        assert!(path.starts_with(world.path().join(dir).to_str().unwrap()), "{name}: {path}");
    }
    assert_eq!(info["flocks"], serde_json::json!([]));
    let template = text(&ok(&world, &["info", "--config-template"]));
    assert!(template.contains("#theme"), "{template}");
}

#[test]
fn the_log_is_private_and_set_aside_when_it_is_large() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let log = world.path().join("state/shepard/shepard.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, vec![b'x'; 6 * 1024 * 1024]).unwrap();
    ok(&world, &["info"]);
    assert!(fs::metadata(&log).unwrap().len() < 1024 * 1024);
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(log.with_extension("log.1")).unwrap().len(), 6 * 1024 * 1024);
}

#[test]
fn completions_and_pages_need_no_home() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = world.shepard(&["completions", shell]).env_clear().output().unwrap();
        assert!(output.status.success());
        assert!(text(&output).contains("shepard"));
    }
    let pages = world.path().join("man");
    ok(&world, &["man", "--to", pages.to_str().unwrap()]);
    for page in ["shepard.1", "shepard-batch.1", "shepard-local-create.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
    assert!(!pages.join("shepard-worker.1").exists(), "what no person types has no page");
    assert!(text(&ok(&world, &["man"])).contains(".TH"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    use std::io::Read as _;
    use std::process::Stdio;
    let world = World::new();
    let mut child = world.shepard(&["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut one = [0];
    child.stdout.take().unwrap().read_exact(&mut one).unwrap();
    assert!(child.wait().unwrap().success());
}
