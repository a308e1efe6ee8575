//! `shepard secrets` and `secretify`, as the built binary: what is sent, what is asked, and that no value is anywhere.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Output;

use cli_support::{World, fails, json, ok, run, text};
use secrets_manager::Manager;
use serde_json::{Value, json};

mod cli_support;
mod secrets_manager;

/// A value that may be in the store and nowhere else; and as it is kept there.
const CANARY: &str = "canary-3f1c9a57-canary";
const CANARY_BASE64: &str = "Y2FuYXJ5LTNmMWM5YTU3LWNhbmFyeQ==";

fn world() -> World {
    let world = World::new();
    ok(&world, &["local", "create", "f", "--command", "true"]);
    world
}

fn folder(world: &World, name: &str, files: &[(&str, &str)]) -> String {
    let folder = world.path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

fn kept(world: &World) -> PathBuf {
    world.path().join("data/shepard/flocks/f/secrets")
}

/// Every file below a folder that holds the canary, plain or encoded, but for those in `but`.
fn holding(folder: &Path, but: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if but.contains(&path) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(holding(&path, but));
        } else if let Ok(bytes) = std::fs::read(&path)
            && [CANARY, CANARY_BASE64].iter().any(|value| contains(&bytes, value))
        {
            found.push(path);
        }
    }
    found
}

fn contains(bytes: &[u8], value: &str) -> bool {
    bytes.windows(value.len()).any(|window| window == value.as_bytes())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_flocks_secrets_are_pushed_listed_and_removed() {
    let world = world();
    let one = folder(&world, "one", &[("token", CANARY), (".env", "A=1"), ("-n", "")]);
    let first = json(&world, &["secrets", "push", &one, "--flock", "f"]);
    assert_eq!((&first["of"], &first["sent"], &first["compared"]), (&json!("f"), &json!(true), &json!(true)));
    assert_eq!(first["added"], json!(["-n", ".env", "token"]));
    assert_eq!(first["names"], first["added"]);
    assert_eq!(std::fs::read_to_string(kept(&world).join("token")).unwrap(), CANARY);
    assert_eq!(
        json(&world, &["secrets", "list", "--flock", "f"]),
        json!({ "of": "f", "names": first["names"] })
    );

    // The same again is not sent.
    assert_eq!(json(&world, &["secrets", "push", &one, "--flock", "f"])["sent"], json!(false));

    // Changes are said by name; what would remove names has to be meant.
    let two = folder(&world, "two", &[("token", "other"), ("new", "n")]);
    assert_eq!(fails(&world, &["secrets", "push", &two, "--flock", "f"]), 4);
    assert!(kept(&world).join(".env").exists());
    let tried = json(&world, &["secrets", "push", &two, "--flock", "f", "--dry-run"]);
    assert_eq!((&tried["sent"], &tried["removed"]), (&json!(false), &json!(["-n", ".env"])));
    let merged = ok(&world, &["secrets", "push", &two, "--flock", "f", "--merge"]);
    assert_eq!(text(&merged), "added      new\nchanged    token\nunchanged  -n\nunchanged  .env\n");
    let third = json(&world, &["secrets", "push", &two, "--flock", "f", "--yes"]);
    assert_eq!(third["removed"], json!(["-n", ".env"]));

    assert_eq!(fails(&world, &["secrets", "rm", "new", "--flock", "f"]), 4, "nobody said yes");
    assert_eq!(fails(&world, &["secrets", "rm", "--yes", "nothing", "--flock", "f"]), 3);
    let gone = json(&world, &["secrets", "rm", "--yes", "new", "--flock", "f"]);
    assert_eq!((&gone["removed"], &gone["names"]), (&json!(["new"]), &json!(["token"])));
    assert!(!kept(&world).join("new").exists());

    // Names are in the journal, and the command lines that did it are ones that do it.
    let journal = json(&world, &["journal"]);
    let entries: Vec<&Value> = journal.as_array().unwrap().iter().filter(|e| e["flock"] == "f").collect();
    let actions: Vec<&str> = entries.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions[1..], ["secrets push", "secrets push", "secrets push", "secrets rm"]);
    assert_eq!(entries[3]["targets"], json!(["--n", "-.env"]));
    assert!(entries[4]["command"].as_str().unwrap().ends_with("secrets rm --yes --flock f -- new"));
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    let world = world();
    let one = folder(&world, "one", &[("token", CANARY)]);
    ok(&world, &["secrets", "push", &one, "--flock", "f"]);
    let empty = folder(&world, "empty", &[]);
    std::fs::create_dir(Path::new(&empty).join("sub")).unwrap();
    let output = ok(&world, &["secrets", "push", &empty, "--flock", "f", "--yes"]);
    assert!(said(&output).contains("sub is no file") && said(&output).contains("nothing was sent"));
    let large = folder(&world, "large", &[("large", &CANARY.repeat(4_000)), ("small", "x")]);
    let output = run(&world, &["secrets", "push", &large, "--flock", "f", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("\"large\", \"small\"") && said(&output).contains("65536"),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains(CANARY));
    assert_eq!(fails(&world, &["secrets", "push", "/nowhere", "--flock", "f"]), 3);
    assert_eq!(fails(&world, &["secrets", "push", &one, "--flock", "g"]), 3);
    assert_eq!(fails(&world, &["secrets", "push", &one]), 2, "which flock?");
    for change in [&["push", one.as_str()][..], &["rm", "token"]] {
        let line = [&["--read-only", "secrets"], change, &["--flock", "f", "--yes"]].concat();
        assert_eq!(fails(&world, &line), 4);
    }
    ok(&world, &["--read-only", "secrets", "push", &empty, "--flock", "f", "--dry-run"]);
    ok(&world, &["--read-only", "secrets", "list", "--flock", "f"]);
    assert_eq!(std::fs::read_to_string(kept(&world).join("token")).unwrap(), CANARY);
}

#[test]
fn a_secret_of_aws_is_read_and_updated_and_nothing_else() {
    let (world, manager) = (World::new(), Manager::start());
    manager.holds(Some(json!({ "instructions.txt": "aGk=", "token": "b2xk" }).to_string()));
    let one = folder(&world, "one", &[("token", CANARY)]);
    let on = |arguments: &[&str]| {
        let mut command = world.shepard(arguments);
        manager.environment(&mut command);
        // Set for flocks, and no hindrance to a secret.
        command.env("SHEPARD_FLOCK", "f").output().unwrap()
    };
    let refused = on(&["secrets", "push", &one, "--secret", "s"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert_eq!(manager.calls(), ["GetSecretValue"]);
    let pushed = on(&["secrets", "push", &one, "--secret", "s", "--yes", "--output", "json"]);
    let answer: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    assert_eq!((&answer["changed"], &answer["removed"]), (&json!(["token"]), &json!(["instructions.txt"])));
    assert_eq!((&answer["version"], &answer["store"]), (&json!("version-1"), &json!("arn:of:s")));
    assert_eq!(manager.held(), json!({ "token": CANARY_BASE64 }).to_string());
    let names = on(&["secrets", "list", "--secret", "s"]);
    assert_eq!(text(&names), "token\n");
    let called: std::collections::BTreeSet<String> = manager.calls().into_iter().collect();
    assert_eq!(called.into_iter().collect::<Vec<_>>(), ["GetSecretValue", "UpdateSecret"]);

    // What is no JSON of ours is replaced, by one who means it.
    manager.holds(Some(format!("{{\"password\": \"{CANARY}\"}}")));
    let list = on(&["secrets", "list", "--secret", "s"]);
    assert_eq!(list.status.code(), Some(2));
    assert!(said(&list).contains("is not the JSON that Shepard writes") && !said(&list).contains(CANARY));
    ok_of(&on(&["secrets", "push", &one, "--secret", "s", "--yes"]));
    assert_eq!(manager.held(), json!({ "token": CANARY_BASE64 }).to_string());
}

fn ok_of(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[test]
fn the_originals_command_line_does_what_it_did_with_the_rights_it_had() {
    let (world, manager) = (World::new(), Manager::start());
    manager.holds(Some(json!({ "old": "b2xk" }).to_string()));
    let one = folder(&world, "one", &[("token", CANARY), ("b", "\n")]);
    let secretify = |more: &[&str]| {
        let usual = ["secretify", "--path_to_local_secrets", &one, "--secret_store", "s"];
        let mut command = world.shepard(&[&usual[..], more].concat());
        manager.environment(&mut command);
        command.output().unwrap()
    };
    // Nobody is at a terminal: it replaces the whole, as it always did, and says what went.
    let output = secretify(&["--dont_assume", "True"]);
    ok_of(&output);
    assert!(
        text(&output).contains("removed  old") && said(&output).contains("succeeded"),
        "{}",
        said(&output)
    );
    assert_eq!(manager.held(), json!({ "b": "Cg==", "token": CANARY_BASE64 }).to_string());

    // Its users may not read: nothing is compared, and the push goes through.
    manager.denies_reading();
    let output = secretify(&["--dont_assume", "True"]);
    ok_of(&output);
    assert!(said(&output).contains("cannot be compared") && said(&output).contains("GetSecretValue"));
    // A command of today has to be told so.
    let mut command = world.shepard(&["secrets", "push", &one, "--secret", "s"]);
    manager.environment(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    // Without that a role is assumed, and none is named.
    for more in [&["--dont_assume", "False"][..], &[]] {
        let output = secretify(more);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("--account_number"), "{}", said(&output));
    }
    // A secret that is not there.
    manager.holds(None);
    let output = secretify(&["--dont_assume", "True"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("the flock's stack makes it"));
}

#[test]
fn no_value_is_in_anything_that_is_printed_or_left() {
    let (world, manager) = (World::new(), Manager::start());
    let script = r#"test "$(cat "$ROOT_INPUT_NAME/secrets/token")" = "$1" || exit 7
        cat /proc/[0-9]*/cmdline > "$ROOT_OUTPUT_NAME/arguments" 2>/dev/null; env > "$ROOT_OUTPUT_NAME/env"; exit 3"#;
    let half = &CANARY[..CANARY.len() / 2];
    // The command itself must not hold what is looked for.
    let script = script.replace("\"$1\"", &format!("\"{half}\"\"{}\"", &CANARY[half.len()..]));
    let command = format!("sh -c '{script}'");
    ok(&world, &["local", "create", "f", "--command", &command]);
    let one = folder(&world, "one", &[("token", CANARY)]);
    let batch = folder(&world, "job", &[("inputs.txt", "{}")]);
    manager.holds(Some(json!({ "old": CANARY_BASE64 }).to_string()));
    let trace = |arguments: &[&str]| {
        let mut command = world.shepard(arguments);
        manager.environment(&mut command);
        command.args(["--log-level", "trace"]).output().unwrap()
    };
    let push = ["secrets", "push", one.as_str(), "--yes"];
    let outputs = [
        trace(&[&push[..], &["--flock", "f"]].concat()),
        trace(&[&push[..], &["--flock", "f", "--output", "json"]].concat()),
        trace(&[&push[..], &["--secret", "s"]].concat()),
        trace(&["secrets", "list", "--secret", "s", "--output", "json"]),
        trace(&["batch", "--flock", "f", "--path", &batch, "--wait"]),
        trace(&["secrets", "rm", "token", "--yes", "--flock", "f"]),
        trace(&["secrets", "rm", "token", "--yes", "--secret", "s"]),
    ];
    for output in &outputs {
        assert!(!said(output).contains(CANARY) && !said(output).contains(CANARY_BASE64), "{}", said(output));
    }
    // The job found its secret, looked at every process of this machine, and failed as it was told to.
    assert!(said(&outputs[4]).contains("failed"), "{}", said(&outputs[4]));
    let reason = json(&world, &["query", "--flock", "f"])[0]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("exit code 3"), "{reason}");
    let log = std::fs::read_to_string(world.path().join("state/shepard/shepard.log")).unwrap();
    assert!(log.contains("aws_"), "the log is as fine as it can be");
    ok(&world, &["retrieve", "--flock", "f", "--to", world.path().join("got").to_str().unwrap()]);
    let mut looked = 0;
    for path in zips(&world.path().join("data")) {
        let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
        for at in 0..zip.len() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut zip.by_index(at).unwrap(), &mut bytes).unwrap();
            assert!(!contains(&bytes, CANARY) && !contains(&bytes, CANARY_BASE64));
            looked += 1;
        }
    }
    assert!(looked > 2, "the arguments and the environment of the payload are among them");
    let found = holding(world.path(), &[one.into()]);
    assert!(found.is_empty(), "{found:?}");
}

fn zips(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(zips(&path));
        } else if path.extension().is_some_and(|end| end == "zip") {
            found.push(path);
        }
    }
    found
}
